package proxy_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"

	"xaproxy/proxy"
	"xaproxy/proxy/wire"
)

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestTLSUpgrade(t *testing.T) {
	s, err := proxy.NewHandlerServer(proxy.Port{Users: proxy.StaticUsers{"app": {Name: "app", Password: "secret"}},
		TLS: &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}, Limits: proxy.Limits{Login: 2 * time.Second}}, answers{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(context.Background(), l)
	t.Cleanup(func() { s.Shutdown(context.Background()) })
	addr := l.Addr().String()
	for _, params := range []string{"?tls=skip-verify", "?tls=false", "?tls=skip-verify&allowNativePasswords=true"} {
		db := openAt(t, addr, params)
		for range 3 {
			if got := values(t, db, "SHOW IT"); len(got) != 2 {
				t.Errorf("%s: %q", params, got)
			}
		}
	}
	// A client that asks for TLS and then speaks garbage.
	request := wire.AppendSSLRequest(nil, wire.ClientCapabilities|wire.SSL, wire.CollationUTF8MB4General, 1<<24)
	frames, _ := wire.AppendFrames(nil, 1, request)
	raw(t, addr, append(frames, "no TLS at all, this is"...), nil)
	exec(t, openAt(t, addr, ""), "do")
}
