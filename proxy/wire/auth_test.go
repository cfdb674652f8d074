package wire_test

import (
	"crypto/rsa"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"
)

func calcNative(scramble []byte, password string) []byte {
	return mysql.CalcNativePassword(scramble, []byte(password))
}

func calcSHA2(scramble []byte, password string) []byte {
	return mysql.CalcCachingSha2Password(scramble, []byte(password))
}

func encrypt(t *testing.T, password string, scramble []byte, key *rsa.PublicKey) []byte {
	t.Helper()
	b, err := mysql.EncryptPassword(password, scramble, key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
