package wire

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// ErrNoTLS says that TLS is wanted and the server does not offer it.
var ErrNoTLS = errors.New("server does not offer TLS")

// ErrPlugin says that the server asks for an authentication plugin that is not spoken, or
// not on this transport.
var ErrPlugin = errors.New("authentication plugin is not supported")

// ErrCapability says that the server lacks a protocol feature that is needed.
var ErrCapability = errors.New("server lacks a needed protocol feature")

// ClientOptions say how a client's connection phase logs in.
type ClientOptions struct {
	User, Password string
	Database       string
	Capabilities   Capabilities // wanted; the server's offer limits them
	Collation      uint8        // explicit, else MariaDB's sessions are latin1
	MaxPacket      uint32
	Attributes     []Attribute
	TLS            bool // wanted
	TLSOptional    bool // goes on without
	Private        bool // nobody can listen on the transport as it is
}

type clientState uint8

const (
	clientEnded clientState = iota
	clientGreeting
	clientTLS    // TLS is being put under the connection
	clientAnswer // the server's verdict, or another question
	clientKey    // the server's public key
)

// ClientPhase is the client's side of the connection phase as a state machine.
// It speaks mysql_native_password and caching_sha2_password (clear on private
// transports, RSA with the key that the server sends otherwise), and
// mysql_clear_password on private transports.
type ClientPhase struct {
	o        ClientOptions
	state    clientState
	greeting Greeting
	caps     Capabilities
	plugin   string
	scramble []byte
	private  bool
	ok       OK
}

// NewClientPhase returns the machine; its first step takes the greeting.
func NewClientPhase(o ClientOptions) *ClientPhase {
	return &ClientPhase{o: o, state: clientGreeting, private: o.Private}
}

// Greeting returns what the server said first.
func (c *ClientPhase) Greeting() Greeting { return c.greeting }

// Capabilities returns what both sides agreed upon.
func (c *ClientPhase) Capabilities() Capabilities { return c.caps }

// OK returns the server's OK, once NextDone was returned.
func (c *ClientPhase) OK() OK { return c.ok }

// Step takes a packet of the server's and returns the payload to send, if any,
// and how to go on. NextStartTLS means: send the payload, put TLS under the
// connection, and send AfterTLS's payload. A server's ERR packet is returned as
// *ServerError.
func (c *ClientPhase) Step(p []byte) (send []byte, next Next, err error) {
	switch c.state {
	case clientGreeting:
		send, next, err = c.greet(p)
	case clientAnswer:
		send, next, err = c.answer(p)
	case clientKey:
		send, next, err = c.encrypt(p)
	case clientEnded, clientTLS:
		err = fmt.Errorf("packet outside of the connection phase: %w", ErrMalformed)
	}
	if err != nil {
		c.state = clientEnded
		return nil, NextRefused, err
	}
	return send, next, nil
}

const neededCapabilities = Protocol41 | SecureConnection | PluginAuth | PluginAuthLenenc

func (c *ClientPhase) greet(p []byte) ([]byte, Next, error) {
	g, err := ParseGreeting(p)
	if err != nil {
		return nil, NextRefused, err
	}
	c.greeting, c.plugin, c.scramble = g, g.Plugin, g.Scramble
	c.caps = c.o.Capabilities & g.Capabilities &^ (SSL | ConnectWithDB)
	if !c.caps.Has(neededCapabilities) {
		return nil, NextRefused, fmt.Errorf("capabilities %#x of server %q: %w", uint32(g.Capabilities), g.Version, ErrCapability)
	}
	if c.o.Database != "" {
		c.caps |= ConnectWithDB
	}
	if c.o.TLS && g.Capabilities.Has(SSL) {
		c.caps |= SSL
		c.state = clientTLS
		return AppendSSLRequest(nil, c.caps, c.o.Collation, c.o.MaxPacket), NextStartTLS, nil
	}
	if c.o.TLS && !c.o.TLSOptional {
		return nil, NextRefused, ErrNoTLS
	}
	send, err := c.login()
	return send, NextRead, err
}

// AfterTLS returns the login to send once TLS is under the connection.
func (c *ClientPhase) AfterTLS() ([]byte, error) {
	c.private = true
	return c.login()
}

func (c *ClientPhase) login() ([]byte, error) {
	c.state = clientAnswer
	auth, err := c.mix()
	if errors.Is(err, ErrPlugin) {
		// The account may use another plugin than the server's default: let the
		// server ask for it.
		c.plugin = CachingSHA2Password
		auth, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	return AppendLogin(nil, Login{
		Capabilities: c.caps, MaxPacket: c.o.MaxPacket, Collation: c.o.Collation, User: c.o.User, Auth: auth,
		Database: c.o.Database, Plugin: c.plugin, Attributes: c.o.Attributes,
	}), nil
}

// mix returns the answer to the scramble by the plugin in use.
func (c *ClientPhase) mix() ([]byte, error) {
	switch c.plugin {
	case NativePassword:
		if len(c.scramble) < ScrambleLen && c.o.Password != "" {
			return nil, fmt.Errorf("scramble of %d bytes: %w", len(c.scramble), ErrMalformed)
		}
		return mysql.CalcNativePassword(c.scramble[:min(len(c.scramble), ScrambleLen)], []byte(c.o.Password)), nil
	case CachingSHA2Password:
		return mysql.CalcCachingSha2Password(c.scramble, []byte(c.o.Password)), nil
	case ClearPassword:
		if c.private {
			return append([]byte(c.o.Password), 0), nil
		}
		return nil, fmt.Errorf("%s without TLS: %w", c.plugin, ErrPlugin)
	}
	return nil, fmt.Errorf("%q: %w", c.plugin, ErrPlugin)
}

func (c *ClientPhase) answer(p []byte) ([]byte, Next, error) {
	switch {
	case IsOK(p):
		ok, err := ParseOK(p, c.caps)
		c.ok, c.state = ok, clientEnded
		return nil, NextDone, err
	case IsError(p):
		return nil, NextRefused, ParseError(p)
	case len(p) > 0 && p[0] == headEOF:
		s, err := ParseAuthSwitch(p)
		if err != nil {
			return nil, NextRefused, err
		}
		c.plugin, c.scramble = s.Plugin, s.Scramble
		auth, err := c.mix()
		if auth == nil {
			auth = []byte{}
		}
		return auth, NextRead, err
	case len(p) == 2 && p[0] == headMoreData && c.plugin == CachingSHA2Password:
		return c.sha2(p[1])
	}
	return nil, NextRefused, fmt.Errorf("connection phase: %w", ErrMalformed)
}

func (c *ClientPhase) sha2(word byte) ([]byte, Next, error) {
	switch {
	case word == mysql.CACHE_SHA2_FAST_AUTH:
		return nil, NextRead, nil
	case word != mysql.CACHE_SHA2_FULL_AUTH:
		return nil, NextRefused, fmt.Errorf("caching_sha2_password: %w", ErrMalformed)
	case c.private:
		return append([]byte(c.o.Password), 0), NextRead, nil
	}
	c.state = clientKey
	return []byte{requestKey}, NextRead, nil
}

func (c *ClientPhase) encrypt(p []byte) ([]byte, Next, error) {
	if IsError(p) {
		return nil, NextRefused, ParseError(p)
	}
	if len(p) == 0 || p[0] != headMoreData || len(c.scramble) == 0 {
		return nil, NextRefused, fmt.Errorf("public key: %w", ErrMalformed)
	}
	block, _ := pem.Decode(p[1:])
	if block == nil {
		return nil, NextRefused, fmt.Errorf("public key: %w", ErrMalformed)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, NextRefused, fmt.Errorf("public key: %w", err)
	}
	public, isRSA := key.(*rsa.PublicKey)
	if !isRSA {
		return nil, NextRefused, fmt.Errorf("public key: %w", ErrMalformed)
	}
	send, err := mysql.EncryptPassword(c.o.Password, c.scramble, public)
	if err != nil {
		return nil, NextRefused, fmt.Errorf("encrypt password: %w", err)
	}
	c.state = clientAnswer
	return send, NextRead, nil
}

// Run drives the machine until the login is done. startTLS puts TLS under r and
// w, as for ServerPhase.Run; here nothing may be buffered.
func (c *ClientPhase) Run(r *Reader, w *Writer, startTLS func() error) error {
	r.SetSequence(0)
	for {
		p, err := r.Read()
		if err != nil {
			return fmt.Errorf("connection phase: %w", err)
		}
		w.SetSequence(r.Sequence())
		send, next, err := c.Step(p)
		if err != nil {
			return err
		}
		if next == NextDone {
			return nil
		}
		if next == NextStartTLS {
			if send, err = c.secure(send, w, startTLS); err != nil {
				return err
			}
		}
		if send == nil {
			continue
		}
		if err := w.Write(send); err != nil {
			return fmt.Errorf("connection phase: %w", err)
		}
		if err := w.Flush(); err != nil {
			return fmt.Errorf("connection phase: %w", err)
		}
		r.SetSequence(w.Sequence())
	}
}

func (c *ClientPhase) secure(request []byte, w *Writer, startTLS func() error) ([]byte, error) {
	if err := w.Write(request); err != nil {
		return nil, fmt.Errorf("connection phase: %w", err)
	}
	if err := w.Flush(); err != nil {
		return nil, fmt.Errorf("connection phase: %w", err)
	}
	if err := startTLS(); err != nil {
		return nil, fmt.Errorf("start TLS: %w", err)
	}
	return c.AfterTLS()
}
