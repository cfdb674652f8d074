package faultwire

import (
	"slices"
	"testing"
)

func TestClassifyTellsWhatStatementsDo(t *testing.T) {
	for sql, want := range map[string][]Verb{
		"":       {},
		"  ; ; ": {},
		"BEGIN":  {Begin},
		"start transaction with consistent snapshot": {Begin},
		"START SLAVE": {Other},
		"XA START X'61',X'62',1;UPDATE t SET a=1": {Start, Other},
		"/* c */ xa /*x*/ end X'61'":              {End},
		"XA PREPARE X'61',X'62',1480675377":       {Prepare},
		"XA COMMIT X'61',X'62',1480675377":        {XACommit},
		"XA COMMIT 'a','b',1 ONE PHASE":           {OnePhase},
		"XA ROLLBACK X'61'":                       {XARollback},
		"XA RECOVER FORMAT='SQL'":                 {Recover},
		"XA":                                      {Other},
		"ROLLBACK":                                {Rollback},
		"ROLLBACK AND NO CHAIN NO RELEASE":        {Rollback},
		"ROLLBACK TO SAVEPOINT a":                 {Other},
		"ROLLBACK WORK TO a":                      {Other},
		"RELEASE SAVEPOINT a":                     {Other},
		"SELECT 'a;COMMIT;b' -- ;COMMIT":          {Other},
		"SELECT `COMMIT;`;COMMIT":                 {Other, Commit},
		"SELECT 'it''s \\' ; '# x;\n;COMMIT":      {Other, Commit},
		"COMMIT AND NO CHAIN NO RELEASE":          {Commit},
		"INSERT INTO xaproxy.claim VALUES ('g','C',x'00;',SYSDATE(3));COMMIT AND NO CHAIN NO RELEASE": {Claim, Commit},
		"INSERT INTO `xaproxy`.`claim`(name) VALUES ('g')":                                            {Claim},
		"INSERT IGNORE INTO xaproxy.claim SELECT 1":                                                   {Claim},
		"INSERT INTO t VALUES ('xaproxy.claim')":                                                      {Other},
		"DELETE FROM xaproxy.claim WHERE name IN ('COMMIT')":                                          {Other},
	} {
		if got := Classify(sql); !slices.Equal(got, want) && len(got)+len(want) > 0 {
			t.Errorf("%q: got %v, want %v", sql, got, want)
		}
	}
}

func FuzzPackets(f *testing.F) {
	f.Add([]byte("\x0a9.7\x00"), byte(3))
	f.Add([]byte{0, 0, 0, 2, 0, 0, 0}, byte(3))
	f.Add([]byte{0xff, 1}, byte(0x16))
	f.Add([]byte{0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0}, byte(0x16))
	f.Fuzz(func(t *testing.T, p []byte, command byte) {
		_, _ = parseGreeting(p)
		_, _ = parseLogin(p)
		_ = Classify(queryText(p, capabilities{flags: capQueryAttributes}))
		for _, caps := range []capabilities{{}, {flags: capDeprecateEOF}, {flags: capOptionalMetadata}, {ext: extCacheMetadata}} {
			if r := newReply(command, caps); r != nil {
				for i := range len(p) {
					r.feed(p[i:])
				}
			}
		}
	})
}
