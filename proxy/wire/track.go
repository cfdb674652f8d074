package wire

import "fmt"

// ChangeKind says what of a session's state changed.
type ChangeKind uint8

// The kinds, as numbered by the protocol.
const (
	ChangeVariable        ChangeKind = 0 // Name and Value of a system variable
	ChangeSchema          ChangeKind = 1 // Value is the default schema, empty for none
	ChangeState           ChangeKind = 2 // Value is "1": something changed
	ChangeGTIDs           ChangeKind = 3 // Value is a set of GTIDs
	ChangeCharacteristics ChangeKind = 4 // Value is the statements that begin such a transaction
	ChangeTransaction     ChangeKind = 5 // Value is the state of the transaction
)

// Change is an element of the session track information of an OK packet.
type Change struct {
	Kind  ChangeKind
	Name  string
	Value string
}

// statementID is a variable that changes with every statement where MySQL tracks
// all variables. It is left out.
const statementID = "statement_id"

// parseChanges decodes session track information. Kinds that are unknown are
// skipped: they carry their length.
func parseChanges(p []byte) ([]Change, error) {
	var changes []Change
	c := cursor{b: p}
	for len(c.b) > 0 {
		kind := ChangeKind(c.u8())
		body := cursor{b: c.lenencBytes()}
		if c.bad {
			break
		}
		var err error
		if changes, err = appendParsed(changes, kind, &body); err != nil {
			return nil, err
		}
	}
	return changes, c.err("session track information")
}

func appendParsed(changes []Change, kind ChangeKind, body *cursor) ([]Change, error) {
	switch kind {
	case ChangeVariable:
		// MariaDB puts several pairs into one element.
		for first := true; first || len(body.b) > 0; first = false {
			name, value := body.lenencBytes(), body.lenencBytes()
			if body.bad {
				break
			}
			if string(name) != statementID {
				changes = append(changes, Change{Kind: kind, Name: string(name), Value: string(value)})
			}
		}
	case ChangeGTIDs:
		body.u8() // encoding specification, always 0
		changes = append(changes, Change{Kind: kind, Value: string(body.lenencBytes())})
	case ChangeSchema, ChangeState, ChangeCharacteristics, ChangeTransaction:
		changes = append(changes, Change{Kind: kind, Value: string(body.lenencBytes())})
	default: // a kind of a newer server
	}
	if err := body.err("session track information"); err != nil {
		return nil, fmt.Errorf("kind %d: %w", kind, err)
	}
	return changes, nil
}

func appendChanges(dst []byte, changes []Change) []byte {
	var body []byte
	for _, c := range changes {
		body = body[:0]
		switch c.Kind {
		case ChangeVariable:
			body = appendLenencString(body, c.Name)
		case ChangeGTIDs:
			body = append(body, 0)
		case ChangeSchema, ChangeState, ChangeCharacteristics, ChangeTransaction:
		}
		body = appendLenencString(body, c.Value)
		dst = append(dst, byte(c.Kind))
		dst = appendLenencBytes(dst, body)
	}
	return dst
}
