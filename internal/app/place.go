package app

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// positioned is an error of the YAML reader that knows where it is.
type positioned interface {
	error
	GetToken() *token.Token
	GetMessage() string
}

// valueAt is an error about the value of a node.
type valueAt struct {
	node    ast.Node
	message string
}

func (e *valueAt) Error() string          { return e.message }
func (e *valueAt) GetMessage() string     { return e.message }
func (e *valueAt) GetToken() *token.Token { return e.node.GetToken() }

// readError says where the reader stopped: file:line:column: message, and the line.
func (c *Config) readError(err error) error {
	var at positioned
	if !errors.As(err, &at) || at.GetToken() == nil || at.GetToken().Position == nil {
		return c.valueError(err)
	}
	p := at.GetToken().Position
	message, _, _ := strings.Cut(at.GetMessage(), "\n")
	return c.at(p.Line, p.Column, errors.New(plainly(message)))
}

// plainly says what is expected where the reader speaks of types of Go.
func plainly(message string) string {
	switch {
	case !strings.HasPrefix(message, "cannot unmarshal"):
		return message
	case strings.Contains(message, "type time.Duration"):
		return "a duration is expected, like 10s, 500ms or 1h"
	case strings.Contains(message, "overflow"):
		return "the number is out of range"
	case strings.Contains(message, "type int"), strings.Contains(message, "type uint"):
		return "a whole number is expected"
	case strings.Contains(message, "type bool"):
		return "true or false is expected"
	}
	return message
}

// valueError finds the value that an error quotes.
func (c *Config) valueError(err error) error {
	if _, quoted, found := strings.Cut(err.Error(), `invalid duration "`); found {
		value, _, _ := strings.Cut(quoted, `"`)
		for _, t := range lexer.Tokenize(string(c.source)) {
			if t.Value == value {
				return c.at(t.Position.Line, t.Position.Column, fmt.Errorf("%q is no duration, like 10s, 500ms or 1h", value))
			}
		}
	}
	return c.keyError(err)
}

// wholeNumbers refuses fractions where something is counted: the reader would cut
// them off.
func (c *Config) wholeNumbers() error {
	file, err := parser.ParseBytes(c.source, 0)
	if err != nil {
		return err
	}
	var found fractions
	for _, d := range file.Docs {
		ast.Walk(&found, d)
	}
	if found.first == nil {
		return nil
	}
	at := found.first.GetToken().Position
	return c.at(at.Line, at.Column, errors.New("a whole number is expected"))
}

// fractions is a visitor that keeps the first number with a fraction.
type fractions struct{ first ast.Node }

// counted reports whether the value at a path is a number of something.
func counted(path string) bool {
	for _, section := range []string{"$.node", "$.limits.", "$.auto_increment."} {
		if strings.HasPrefix(path, section) {
			return true
		}
	}
	return false
}

// Visit implements ast.Visitor.
func (f *fractions) Visit(n ast.Node) ast.Visitor {
	if number, ok := n.(*ast.FloatNode); ok && f.first == nil && counted(n.GetPath()) {
		f.first = number
	}
	return f
}

// keyError finds the key that an error names in front of its first colon.
func (c *Config) keyError(err error) error {
	label, _, _ := strings.Cut(err.Error(), ": ")
	return c.pathError(strings.Split(label, "."), err)
}

// pathError puts in front of an error where a key is; without a file, nothing.
func (c *Config) pathError(path []string, err error) error {
	line, column, ok := c.place(path)
	if !ok {
		return err
	}
	return c.at(line, column, err)
}

func (c *Config) at(line, column int, err error) error {
	return fmt.Errorf("%s:%d:%d: %w%s", c.name, line, column, err, c.excerpt(line, column))
}

// excerpt is a line of the file with a caret below the column.
func (c *Config) excerpt(line, column int) string {
	lines := bytes.Split(c.source, []byte("\n"))
	if line < 1 || line > len(lines) {
		return ""
	}
	text := strings.TrimRight(string(lines[line-1]), "\r")
	return fmt.Sprintf("\n  %s\n  %s^", text, strings.Repeat(" ", max(column-1, 0)))
}

// place finds a key's value in the file, or the nearest key above it.
func (c *Config) place(path []string) (line, column int, ok bool) {
	file, err := parser.ParseBytes(c.source, 0)
	if err != nil || len(c.source) == 0 {
		return 0, 0, false
	}
	for ; len(path) > 0; path = path[:len(path)-1] {
		b := (&yaml.PathBuilder{}).Root()
		for _, step := range path {
			if n, err := strconv.ParseUint(step, 10, 16); err == nil {
				b = b.Index(uint(n))
			} else {
				b = b.Child(step)
			}
		}
		if node, err := b.Build().FilterFile(file); err == nil {
			at := node.GetToken().Position
			return at.Line, at.Column, true
		}
	}
	return 0, 0, false
}
