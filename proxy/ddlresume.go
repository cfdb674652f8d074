package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/wire"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// resumption completes a recorded statement. Its tables are closed everywhere and
// nobody else executes parts of it. Servers execute a definition wholly or not at
// all, also when they crash, so a shard's definitions tell whether it was.
type resumption struct {
	d     *announcement
	parts []*resumedPart // ascending by shard
	// retry: a person wants what was refused before to be tried again.
	retry bool
}

// resumedPart is a shard's part.
type resumedPart struct {
	shard        xa.ShardID
	row          xamysql.Definition
	earlier, now xamysql.Objects
	done         bool
	facts        *shardCatalog // of now, when asked for
}

// changed reports whether the definitions are not as they were before.
func (p *resumedPart) changed() bool { return !slices.Equal(p.earlier.Text, p.now.Text) }

// resumption reads the rows of the statement.
func (d *announcement) resumption(rows map[xa.ShardID]xamysql.Definition) (*resumption, error) {
	r := &resumption{d: d}
	var err error
	for _, n := range d.c.e.order {
		row := rows[n]
		if d.about, err = decodeAbout(row); err != nil {
			return nil, err
		}
		p := &resumedPart{shard: n, row: row}
		if err := json.Unmarshal([]byte(row.Earlier), &p.earlier); err != nil {
			return nil, fmt.Errorf("definition statement %s: %w", row.ID, err)
		}
		d.earlier[n] = p.earlier
		if row.Part != xamysql.PartNone {
			r.parts = append(r.parts, p)
		}
	}
	return r, nil
}

// run executes what has not been executed, where that is provably right, and says
// how the statement ended. After an error it is still open.
func (r *resumption) run(ctx context.Context) (xamysql.DefinitionOutcome, error) {
	if !r.retry && slices.ContainsFunc(r.parts, func(p *resumedPart) bool { return p.row.Part == xamysql.PartFailed }) {
		return xamysql.DefinitionStuck, nil
	}
	for _, p := range r.parts {
		if err := r.observe(ctx, p); err != nil {
			return "", err
		}
		if why := r.classify(p); why != "" {
			return r.stuck(ctx, p, why), nil
		}
	}
	if o, err := r.agree(ctx); err != nil || o != "" {
		return o, err
	}
	for _, p := range r.parts {
		if o, err := r.bring(ctx, p); err != nil || o != "" {
			return o, err
		}
	}
	if o, err := r.agree(ctx); err != nil || o != "" {
		return o, err
	}
	return xamysql.DefinitionDone, nil
}

// bring executes a part that has not been executed.
func (r *resumption) bring(ctx context.Context, p *resumedPart) (xamysql.DefinitionOutcome, error) {
	if p.done {
		return "", nil
	}
	same, err := r.redone(ctx, p)
	if err != nil {
		return "", err
	}
	if same {
		p.done = true
		r.d.mark(ctx, p.shard, xamysql.PartDone, "")
		return "", nil
	}
	refused, err := r.execute(ctx, p)
	if err != nil {
		return "", err
	}
	if refused != nil {
		return r.refused(ctx, p, refused)
	}
	p.done = true
	return "", nil
}

// stuck records why a person is needed.
func (r *resumption) stuck(ctx context.Context, p *resumedPart, why string) xamysql.DefinitionOutcome {
	r.d.mark(ctx, p.shard, xamysql.PartFailed, why)
	return xamysql.DefinitionStuck
}

func (r *resumption) observe(ctx context.Context, p *resumedPart) (err error) {
	ctx, cancel := context.WithTimeout(ctx, loadPatience)
	defer cancel()
	p.facts = nil
	p.now, err = r.d.c.e.shards[p.shard].Store.ReadObjects(ctx, r.d.about.objects())
	if err == nil && len(p.now.Text) != len(p.earlier.Text) {
		err = errors.New("the record of a definition statement does not fit its tables")
	}
	return err
}

// classify says whether a part was executed; in words, why that cannot be known.
func (r *resumption) classify(p *resumedPart) (why string) {
	a := r.d.about
	switch {
	case a.Drops:
		for i, text := range p.now.Text {
			if text != "" && text != p.earlier.Text[i] {
				return "it was made anew, or changed, while the statement was interrupted"
			}
		}
		p.done = p.row.Part == xamysql.PartDone || p.changed() && strings.Join(p.now.Text, "") == ""
	case p.row.Part == xamysql.PartDone:
		p.done = true
	case !p.changed():
	case p.now.Version != p.earlier.Version:
		return "the server has become version " + p.now.Version + " while the statement was interrupted, and writes definitions differently or has others"
	case a.Empties:
		return "its definition was changed while the statement was interrupted"
	default:
		p.done = true
	}
	return ""
}

// agree compares the shards that have executed the statement: they must have the
// same definitions. What does not fit makes the statement stuck.
func (r *resumption) agree(ctx context.Context) (xamysql.DefinitionOutcome, error) {
	var first *resumedPart
	for _, p := range r.parts {
		if !p.done {
			continue
		}
		if first == nil {
			first = p
			continue
		}
		what, err := r.differs(ctx, first, p)
		if err != nil {
			return "", err
		}
		if what != "" {
			return r.stuck(ctx, p, "its definition differs from that at shard "+r.d.c.e.name(first.shard)+": "+what), nil
		}
	}
	return "", nil
}

// differs names a difference of two shards' definitions. Where the servers are of
// one version and had the same before, the texts are compared; else what has to be
// the same on all shards.
func (r *resumption) differs(ctx context.Context, a, b *resumedPart) (string, error) {
	for _, p := range []*resumedPart{a, b} {
		if err := r.observe(ctx, p); err != nil {
			return "", err
		}
	}
	// Servers of different kinds have different defaults for schemas.
	if what := a.textDiffers(b); what != "" || r.d.about.Drops || r.d.about.Schema != "" {
		return what, nil
	}
	for _, p := range []*resumedPart{a, b} {
		if err := r.load(ctx, p); err != nil {
			return "", err
		}
	}
	return r.factsDiffer(a.facts, b.facts), nil
}

func (p *resumedPart) textDiffers(o *resumedPart) string {
	alike := p.now.Version == o.now.Version && p.earlier.Version == o.earlier.Version
	for i := range p.now.Text {
		switch {
		case (p.now.Text[i] == "") != (o.now.Text[i] == ""):
			return "only one of them has it"
		case alike && p.earlier.Text[i] == o.earlier.Text[i] && p.now.Text[i] != o.now.Text[i]:
			return "their SHOW CREATE is not the same"
		}
	}
	return ""
}

func (r *resumption) factsDiffer(a, b *shardCatalog) string {
	for _, t := range r.d.about.Tables {
		x, y := a.tables[t], b.tables[t]
		if x == nil || y == nil {
			continue // compared as texts
		}
		if what := x.differs(y); what != "" {
			return what
		}
	}
	return ""
}

func (r *resumption) load(ctx context.Context, p *resumedPart) (err error) {
	if p.facts != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, loadPatience)
	defer cancel()
	p.facts, err = loadShard(ctx, r.d.c.e.shards[p.shard])
	return err
}

// redone reports whether a person, who wants the statement to be tried again, has
// done its work at the shard.
func (r *resumption) redone(ctx context.Context, p *resumedPart) (bool, error) {
	if !r.retry || r.d.about.Empties || r.d.about.Drops {
		return false, nil
	}
	i := slices.IndexFunc(r.parts, func(o *resumedPart) bool { return o.done && o.changed() })
	if i < 0 {
		return false, nil
	}
	what, err := r.differs(ctx, r.parts[i], p)
	return err == nil && what == "", err
}

// execute executes a part on a connection of its own, in a session as the
// client's was. The error is one of the transport.
func (r *resumption) execute(ctx context.Context, p *resumedPart) (*wire.ServerError, error) {
	conn, err := backend.Dial(ctx, r.d.c.e.shards[p.shard].Pool.Options())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	state := r.d.about.Session.state()
	var said *wire.ServerError
	if err = conn.Sync(ctx, state); errors.As(err, &said) && state.Schema != "" {
		state.Schema = "" // perhaps it is the one that is gone
		err = conn.Sync(ctx, state)
	}
	if err != nil {
		return nil, err
	}
	rep, err := r.d.fenced(ctx, p.shard, conn, func() (reply, error) {
		refused, err := exec(ctx, conn, r.statement(p))
		if err == nil && refused == nil {
			r.d.mark(ctx, p.shard, xamysql.PartDone, "")
		}
		return reply{refused: refused}, err
	})
	return rep.refused, err
}

// statement is the part's text. Of several tables to be dropped some may be gone.
func (r *resumption) statement(p *resumedPart) string {
	if !r.d.about.Drops || r.d.about.Schema != "" || !p.changed() {
		return p.row.Statement
	}
	var left []string
	for i, t := range r.d.about.Tables {
		if p.now.Text[i] != "" {
			left = append(left, quoteName(t.Schema)+"."+quoteName(t.Name))
		}
	}
	return "DROP TABLE " + strings.Join(left, ",")
}

// refused says what a server's refusal means: nothing, where no shard has been
// changed.
func (r *resumption) refused(ctx context.Context, p *resumedPart, said *wire.ServerError) (xamysql.DefinitionOutcome, error) {
	if err := r.observe(ctx, p); err != nil {
		return "", err
	}
	r.d.mark(ctx, p.shard, xamysql.PartFailed, said.Error())
	if p.changed() || r.retry || r.d.about.Empties || slices.ContainsFunc(r.parts, func(o *resumedPart) bool { return o.done || o.changed() }) {
		return xamysql.DefinitionStuck, nil
	}
	return xamysql.DefinitionRefused, nil
}
