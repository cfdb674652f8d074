package app

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"xaproxy/xa"
)

// state is the proxy's directory. Nothing in it is needed for the safety of a
// transaction: when it is lost, the shards' node tables give the incarnation
// and their placement tables the directory of shards.
//
//	node          node id, decimal
//	incarnation   last incarnation used, decimal
//	shards.json   cluster id and the number of each shard name
//	server.pem    certificate and RSA key shown to clients
//	admin.password  of the generated admin account, when the file names none
type state struct{ dir string }

func openState(dir string) (*state, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state_dir: %w", err)
	}
	return &state{dir: dir}, nil
}

func (s *state) path(name string) string { return filepath.Join(s.dir, name) }

// write replaces a file durably: a crash leaves the old or the new content.
func (s *state) write(name string, content []byte) error {
	tmp, err := os.CreateTemp(s.dir, name+".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone already when the rename succeeded
	if _, err := tmp.Write(content); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := tmp.Sync(); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), s.path(name)); err != nil {
		return err
	}
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (s *state) number(name string, bits int) (uint64, bool, error) {
	b, err := os.ReadFile(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	v, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, bits)
	if err != nil {
		return 0, false, fmt.Errorf("%s: %w", s.path(name), err)
	}
	return v, true, nil
}

// node returns the configured node id or the one this directory keeps.
func (s *state) node(configured uint32) (uint32, error) {
	if configured > xa.MaxNode {
		return 0, fmt.Errorf("node: %d is above %d", configured, xa.MaxNode)
	}
	if configured != 0 {
		return configured, nil
	}
	v, found, err := s.number("node", 32)
	if err != nil {
		return 0, err
	}
	if found {
		return uint32(v), nil
	}
	drawn, err := randomNumber(xa.MaxNode)
	if err != nil {
		return 0, err
	}
	return drawn, s.write("node", []byte(strconv.FormatUint(uint64(drawn), 10)+"\n"))
}

// randomNumber draws from 1 to limit.
func randomNumber(limit uint32) (uint32, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(limit)))
	if err != nil {
		return 0, err
	}
	return uint32(n.Uint64()) + 1, nil
}

func randomCluster() (xa.ClusterID, error) {
	var b [8]byte
	if _, err := rand.Read(b[3:]); err != nil {
		return 0, err
	}
	return xa.ClusterID(binary.BigEndian.Uint64(b[:])), nil
}

func (s *state) incarnation() (uint32, error) {
	v, _, err := s.number("incarnation", 32)
	return uint32(v), err
}

func (s *state) saveIncarnation(v uint32) error {
	return s.write("incarnation", []byte(strconv.FormatUint(uint64(v), 10)+"\n"))
}

// directory is which number each shard name stands for; it lets a start go on
// while a shard is down.
type directory struct {
	Cluster xa.ClusterID          `json:"cluster"`
	Shards  map[string]xa.ShardID `json:"shards"`
}

func (s *state) directory() (directory, bool, error) {
	var d directory
	b, err := os.ReadFile(s.path("shards.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return d, false, nil
	}
	if err != nil {
		return d, false, err
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return d, false, fmt.Errorf("%s: %w", s.path("shards.json"), err)
	}
	return d, true, nil
}

func (s *state) saveDirectory(d directory) error {
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	return s.write("shards.json", append(b, '\n'))
}

// adminPassword returns the generated admin account's password, made and
// written with mode 0600 at the first call.
func (s *state) adminPassword() (string, error) {
	b, err := os.ReadFile(s.path("admin.password"))
	if err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	password := rand.Text()
	return password, s.write("admin.password", []byte(password+"\n"))
}

// certificate returns the certificate shown to clients; a self-signed one is
// made on the first start. Its key is RSA because caching_sha2_password without
// TLS needs one.
func (s *state) certificate() (tls.Certificate, *rsa.PrivateKey, error) {
	b, err := os.ReadFile(s.path("server.pem"))
	if errors.Is(err, fs.ErrNotExist) {
		if b, err = selfSigned(); err == nil {
			err = s.write("server.pem", b)
		}
	}
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	c, err := tls.X509KeyPair(b, b)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("%s: %w", s.path("server.pem"), err)
	}
	key, ok := c.PrivateKey.(*rsa.PrivateKey)
	if !ok {
		return tls.Certificate{}, nil, fmt.Errorf("%s: the key is not an RSA key", s.path("server.pem"))
	}
	return c, key, nil
}

// selfSigned makes a certificate valid for ten years; clients that want to
// verify the server replace server.pem by one of their own authority.
func selfSigned() ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "xaproxy auto-generated"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(10, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	out := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...), nil
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

// lock keeps a second process out of the directory; the kernel gives it back
// when this one dies.
func (s *state) lock() (unlock func() error, err error) {
	f, err := os.OpenFile(s.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("state_dir %s is in use by another process: %w", s.dir, err), f.Close())
	}
	return f.Close, nil
}
