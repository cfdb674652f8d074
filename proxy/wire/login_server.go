package wire

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // the protocol's OAEP hash
	"crypto/subtle"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// Next says what the driver of a connection phase does after it has sent what a
// step returned.
type Next uint8

// The continuations.
const (
	NextRefused  Next = iota // close the connection
	NextRead                 // read a packet and step with it
	NextStartTLS             // put TLS under the connection, then as the phase says
	NextDone                 // logged in
)

// ServerOptions say how a server's connection phase greets and checks.
type ServerOptions struct {
	Version      string
	ConnectionID uint32
	Collation    uint8
	// Host is the client's address without port, for the text of a refusal.
	Host string
	// TLS offers TLS.
	TLS bool
	// RequireTLS refuses a login without TLS.
	RequireTLS bool
	// Private says that nobody can listen on the transport as it is (a unix
	// socket).
	Private bool
	// Key decrypts passwords that clients encrypt where there is no TLS. Without
	// it such a client can log in by the fast path only.
	Key *rsa.PrivateKey
	// Password returns a user's password in clear; false means unknown.
	Password func(user string) (string, bool)
}

type serverState uint8

const (
	serverEnded    serverState = iota
	serverLogin                // the login, or a request for TLS
	serverTLSLogin             // the login behind TLS
	serverSwitched             // the answer to an auth switch
	serverFull                 // the password in clear, or encrypted, or a request for the key
	serverKeySent              // the encrypted password
)

// ServerPhase is the server's side of the connection phase as a state machine:
//
//	greeting -> [TLS] -> login -> [auth switch -> answer]
//	  -> fast path | full authentication (clear on TLS, RSA otherwise)
//	  -> done (the caller sends OK when the rest of the session is ready)
//
// caching_sha2_password is the default and mysql_native_password is spoken with
// clients that ask for it. Nothing that is sent, and nothing that takes notable
// time, depends on whether a user is known.
type ServerPhase struct {
	o        ServerOptions
	state    serverState
	scramble []byte
	login    Login
	plugin   string
	private  bool
	password string
	known    bool
}

// errSecureTransport is ER_SECURE_TRANSPORT_REQUIRED.
const errSecureTransport = 3159

// decoy stands in for the password of users that do not exist.
const decoy = "correct horse battery staple"

// NewServerPhase returns the machine and the greeting to send first.
func NewServerPhase(o ServerOptions) (*ServerPhase, []byte) {
	s := &ServerPhase{o: o, state: serverLogin, scramble: newScramble(), private: o.Private}
	caps := ServerCapabilities
	if o.TLS {
		caps |= SSL
	}
	return s, AppendGreeting(nil, Greeting{
		Version: o.Version, ConnectionID: o.ConnectionID, Scramble: s.scramble, Capabilities: caps,
		Collation: o.Collation, Status: StatusAutocommit, Plugin: CachingSHA2Password,
	})
}

// NewChangePhase returns a machine for COM_CHANGE_USER of a client that is logged
// in, what to send first and how to go on: the client is asked for a new answer
// to a new scramble, whatever it has sent along.
func NewChangePhase(o ServerOptions, p []byte, was Login) (*ServerPhase, []byte, Next) {
	s := &ServerPhase{o: o, private: o.Private}
	l, err := ParseChangeUser(p, was)
	if err != nil || !l.Capabilities.Has(PluginAuth) { // without it nobody can be asked again
		send, next := s.refuse(handshakeError())
		return s, send, next
	}
	s.meet(l)
	plugin := CachingSHA2Password
	if l.Plugin == NativePassword {
		plugin = NativePassword
	}
	send, next := s.switchTo(plugin)
	return s, send, next
}

// meet looks the user up.
func (s *ServerPhase) meet(l Login) {
	s.login = l
	if s.password, s.known = s.o.Password(l.User); !s.known {
		s.password = decoy
	}
}

// Login returns what the client said, once NextDone was returned. Its
// Capabilities are those of both sides.
func (s *ServerPhase) Login() Login { return s.login }

// Step takes a packet of the client's. It returns the payload to send, if any,
// and how to go on: NextStartTLS means to send nothing, put TLS under the
// connection and read; NextRefused means that the payload is an ERR packet.
func (s *ServerPhase) Step(p []byte) (send []byte, next Next) {
	switch s.state {
	case serverLogin:
		if s.o.TLS && IsSSLRequest(p) {
			s.state = serverTLSLogin
			s.private = true
			return nil, NextStartTLS
		}
		return s.logIn(p)
	case serverTLSLogin:
		return s.logIn(p)
	case serverSwitched:
		return s.check(p)
	case serverFull:
		return s.full(p)
	case serverKeySent:
		return s.encrypted(p)
	case serverEnded:
	}
	return s.refuse(handshakeError())
}

func handshakeError() *ServerError {
	return &ServerError{Number: mysql.ER_HANDSHAKE_ERROR, State: "08S01", Message: "Bad handshake"}
}

func (s *ServerPhase) refuse(e *ServerError) ([]byte, Next) {
	s.state = serverEnded
	return AppendError(nil, e), NextRefused
}

func (s *ServerPhase) denied(gave bool) ([]byte, Next) {
	using := "NO"
	if gave {
		using = "YES"
	}
	return s.refuse(&ServerError{Number: mysql.ER_ACCESS_DENIED_ERROR, State: "28000",
		Message: fmt.Sprintf("Access denied for user '%.48s'@'%.255s' (using password: %s)", s.login.User, s.o.Host, using)})
}

func (s *ServerPhase) done(send []byte) ([]byte, Next) {
	s.state = serverEnded
	s.login.Auth = nil
	return send, NextDone
}

func (s *ServerPhase) logIn(p []byte) ([]byte, Next) {
	l, err := ParseLogin(p)
	if err != nil {
		return s.refuse(handshakeError())
	}
	offered := ServerCapabilities
	if s.o.TLS {
		offered |= SSL
	}
	l.Capabilities &= offered
	if s.o.RequireTLS && !s.private {
		return s.refuse(&ServerError{Number: errSecureTransport, State: "HY000",
			Message: "Connections using insecure transport are prohibited: use TLS"})
	}
	s.meet(l)
	return s.choose(l)
}

// choose decides by which plugin the client is checked.
func (s *ServerPhase) choose(l Login) ([]byte, Next) {
	s.plugin = l.Plugin
	switch {
	case !l.Capabilities.Has(PluginAuth):
		s.plugin = NativePassword
		return s.check(l.Auth)
	case l.Plugin == CachingSHA2Password:
		return s.check(l.Auth)
	case l.Plugin == NativePassword && len(l.Auth) > 0:
		return s.check(l.Auth)
	case l.Plugin == NativePassword:
		// Nothing, or an empty password: the greeting was not for this plugin.
		return s.switchTo(NativePassword)
	case l.Plugin == ClearPassword && !s.private && !empty(l.Auth):
		return s.refuse(&ServerError{Number: mysql.ER_NOT_SUPPORTED_AUTH_MODE, State: "08004",
			Message: "mysql_clear_password is refused without TLS; the password has been seen on the network, change it"})
	}
	return s.switchTo(CachingSHA2Password)
}

func (s *ServerPhase) switchTo(plugin string) ([]byte, Next) {
	s.plugin = plugin
	s.state = serverSwitched
	s.scramble = newScramble()
	return AppendAuthSwitch(nil, AuthSwitch{Plugin: plugin, Scramble: s.scramble}), NextRead
}

// empty reports whether an answer stands for the empty password.
func empty(answer []byte) bool {
	return len(answer) == 0 || len(answer) == 1 && answer[0] == 0
}

// check compares an answer that is mixed with the scramble.
func (s *ServerPhase) check(answer []byte) ([]byte, Next) {
	gave := !empty(answer)
	if !gave {
		answer = nil
	}
	native := s.plugin == NativePassword
	var want []byte
	if native {
		want = mysql.CalcNativePassword(s.scramble, []byte(s.password))
	} else {
		want = mysql.CalcCachingSha2Password(s.scramble, []byte(s.password))
	}
	if equal := subtle.ConstantTimeCompare(want, answer) == 1; equal && s.known {
		if native || !gave {
			return s.done(nil)
		}
		return s.done(AppendMoreData(nil, []byte{mysql.CACHE_SHA2_FAST_AUTH}))
	}
	if native || !gave || !s.private && s.o.Key == nil {
		return s.denied(gave)
	}
	s.state = serverFull
	return AppendMoreData(nil, []byte{mysql.CACHE_SHA2_FULL_AUTH}), NextRead
}

// requestKey is a client's request for the public key.
const requestKey = 0x02

func (s *ServerPhase) full(p []byte) ([]byte, Next) {
	if s.private {
		return s.clear(p)
	}
	if len(p) != 1 || p[0] != requestKey {
		return s.encrypted(p)
	}
	der, err := x509.MarshalPKIXPublicKey(&s.o.Key.PublicKey)
	if err != nil {
		return s.denied(true)
	}
	s.state = serverKeySent
	return AppendMoreData(nil, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), NextRead
}

func (s *ServerPhase) encrypted(p []byte) ([]byte, Next) {
	plain, err := rsa.DecryptOAEP(sha1.New(), rand.Reader, s.o.Key, p, nil)
	if err != nil {
		return s.denied(true)
	}
	return s.clear(mysql.Xor(plain, s.scramble))
}

// clear compares a password in clear that ends with a zero byte.
func (s *ServerPhase) clear(p []byte) ([]byte, Next) {
	p = bytes.TrimSuffix(p, []byte{0})
	if equal := subtle.ConstantTimeCompare(p, []byte(s.password)) == 1; equal && s.known {
		return s.done(nil)
	}
	return s.denied(true)
}

// Refusal is the error of a connection phase that ended without a login; the
// client has been told.
type Refusal struct{ Told *ServerError }

func (e *Refusal) Error() string { return "login refused: " + e.Told.Message }

// Run sends the greeting and drives the machine until the client is logged in
// and waits for OK, whose sequence number w has. startTLS puts TLS under r and w:
// it feeds r.Detach() to TLS before what the socket has, and calls SetSource and
// SetDestination.
func (s *ServerPhase) Run(greeting []byte, r *Reader, w *Writer, startTLS func() error) error {
	w.SetSequence(0)
	return s.Drive(greeting, NextRead, r, w, startTLS)
}

// Drive is Run for a machine that has begun: it sends what the last step returned.
// w has the sequence number of what it sends.
func (s *ServerPhase) Drive(send []byte, next Next, r *Reader, w *Writer, startTLS func() error) error {
	for {
		if send != nil {
			if err := w.Write(send); err != nil {
				return fmt.Errorf("connection phase: %w", err)
			}
		}
		// The fast path's word travels together with the OK.
		if next == NextDone {
			return nil
		}
		if err := w.Flush(); err != nil {
			return fmt.Errorf("connection phase: %w", err)
		}
		switch next {
		case NextRefused:
			return &Refusal{Told: ParseError(send)}
		case NextStartTLS:
			if err := startTLS(); err != nil {
				return fmt.Errorf("start TLS: %w", err)
			}
		case NextRead, NextDone:
		}
		if send != nil {
			r.SetSequence(w.Sequence())
		}
		p, err := r.Read()
		if err != nil {
			return fmt.Errorf("connection phase: %w", err)
		}
		w.SetSequence(r.Sequence())
		send, next = s.Step(p)
	}
}
