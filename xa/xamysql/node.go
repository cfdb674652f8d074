package xamysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"xaproxy/xa"
)

// ErrOwnerLive says that a commit was to be collected for an incarnation that is not marked dead (R2).
var ErrOwnerLive = errors.New("the owner's incarnation is not marked dead")

// ErrUnregistered says that the incarnation has no row at this shard; Register makes it.
var ErrUnregistered = errors.New("incarnation is not registered at this shard")

// holdLease is how long a node's name stays taken after its proxy vanished without a word; the session that holds it is
// pinged three times as often.
const holdLease = 15 * time.Second

const selectNode = "SELECT node_id, incarnation, state, beat, collected_upto, endpoint FROM xaproxy.node"

func nodeKey(node, incarnation uint32) string {
	return "node_id=" + digits(node) + " AND incarnation=" + digits(incarnation)
}

// onNodes runs f on a session of the node pool.
func (s *Shard) onNodes(ctx context.Context, doing string, f func(control) error) error {
	c, err := primary(ctx, s.nodes)
	if err != nil {
		return s.fail(doing, err)
	}
	defer c.putBack()
	if err := f(c); err != nil {
		return s.fail(doing, err)
	}
	return nil
}

func readNodes(ctx context.Context, c control, where string) ([]xa.Node, error) {
	all, err := c.list(ctx, selectNode+where)
	if err != nil {
		return nil, err
	}
	nodes := make([]xa.Node, 0, len(all))
	for _, row := range all {
		id, err1 := strconv.ParseUint(row[0], 10, 32)
		inc, err2 := strconv.ParseUint(row[1], 10, 32)
		beat, err3 := strconv.ParseUint(row[3], 10, 64)
		upto, err4 := strconv.ParseUint(row[4], 10, 64)
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return nil, fmt.Errorf("xaproxy.node: %w", err)
		}
		// Whatever is not plainly live is dead: a dead mark must not be overlooked.
		nodes = append(nodes, xa.Node{
			ID: uint32(id), Incarnation: uint32(inc), Dead: row[2] != stateLive,
			Beat: beat, CollectedUpto: upto, Endpoint: row[5],
		})
	}
	return nodes, nil
}

// Nodes implements xa.NodeStore.
func (s *Shard) Nodes(ctx context.Context) (nodes []xa.Node, err error) {
	err = s.onNodes(ctx, "read nodes", func(c control) error {
		nodes, err = readNodes(ctx, c, " ORDER BY node_id, incarnation")
		return err
	})
	if err != nil {
		return nil, err
	}
	return nodes, nil
}

// Register implements xa.NodeStore. Registering a live incarnation again updates its endpoint.
func (s *Shard) Register(ctx context.Context, n xa.Node) error {
	return s.onNodes(ctx, fmt.Sprintf("register node %d, incarnation %d", n.ID, n.Incarnation), func(c control) error {
		endpoint := n.Endpoint
		if len(endpoint) > 255 {
			endpoint = endpoint[:255]
		}
		text := "CONVERT(" + literal(endpoint) + " USING utf8mb4)"
		_, err := c.exec(ctx, fmt.Sprintf("INSERT INTO xaproxy.node (node_id,incarnation,state,beat,collected_upto,endpoint) VALUES (%d,%d,%s,1,0,%s) "+
			"ON DUPLICATE KEY UPDATE endpoint=%s, beat=beat+1", n.ID, n.Incarnation, literal(stateLive), text, text))
		if err != nil {
			return err
		}
		now, err := readNode(ctx, c, n.ID, n.Incarnation)
		if err == nil && now.Dead {
			err = xa.ErrDead
		}
		return err
	})
}

func readNode(ctx context.Context, c control, node, incarnation uint32) (xa.Node, error) {
	nodes, err := readNodes(ctx, c, " WHERE "+nodeKey(node, incarnation))
	if err != nil {
		return xa.Node{}, err
	}
	if len(nodes) != 1 {
		return xa.Node{}, ErrUnregistered
	}
	return nodes[0], nil
}

// Beat implements xa.NodeStore. An error wrapping ErrUnregistered: there is no row.
func (s *Shard) Beat(ctx context.Context, node, incarnation uint32) (n xa.Node, err error) {
	err = s.onNodes(ctx, fmt.Sprintf("beat of node %d, incarnation %d", node, incarnation), func(c control) error {
		_, err := c.exec(ctx, "UPDATE xaproxy.node SET beat=beat+1 WHERE "+nodeKey(node, incarnation)+" AND state="+literal(stateLive))
		if err != nil {
			return err
		}
		n, err = readNode(ctx, c, node, incarnation)
		return err
	})
	return n, err
}

// MarkDead implements xa.NodeStore. nil: the mark is durable.
func (s *Shard) MarkDead(ctx context.Context, node, incarnation uint32) error {
	return s.onNodes(ctx, fmt.Sprintf("mark node %d, incarnation %d dead", node, incarnation), func(c control) error {
		dead := literal(stateDead)
		// beat changes too, so that the statement writes, and its commit is flushed, even when the mark is there
		// already but was read before it was durable.
		_, err := c.exec(ctx, fmt.Sprintf("INSERT INTO xaproxy.node (node_id,incarnation,state,beat,collected_upto,endpoint) VALUES (%d,%d,%s,0,0,'') "+
			"ON DUPLICATE KEY UPDATE state=%s, beat=beat+1", node, incarnation, dead, dead))
		return err
	})
}

// lockName is the name of a node's lock, at most 64 characters.
func (s *Shard) lockName(node uint32) string {
	return literal(fmt.Sprintf("xaproxy/%010x/%d", uint64(s.o.Cluster), node))
}

// Hold implements xa.NodeStore. The lock belongs to a session of its own, which is kept alive until release is called.
// A session that is lost nonetheless (the server was restarted, somebody called KillHolder) is not replaced: the name is
// free, and the node's owner decides whether it may take it again.
func (s *Shard) Hold(ctx context.Context, node uint32) (release func(), err error) {
	c, err := s.takeName(ctx, node)
	if err != nil {
		return nil, s.fail(fmt.Sprintf("take the name of node %d", node), err)
	}
	keep, stop := context.WithCancel(context.WithoutCancel(ctx))
	var done sync.WaitGroup
	done.Go(func() { c.keepAlive(keep) })
	return func() {
		stop()
		done.Wait()
	}, nil
}

// takeName locks the name on a session of its own at once, or fails with ErrHeld.
func (s *Shard) takeName(ctx context.Context, node uint32) (control, error) {
	c, err := checkout(ctx, s.nodes)
	if err != nil {
		return c, err
	}
	if _, err := c.exec(ctx, "SET SESSION wait_timeout="+strconv.Itoa(int(holdLease/time.Second))); err != nil {
		c.drop()
		return control{}, err
	}
	got, err := c.one(ctx, "SELECT GET_LOCK(CONVERT("+s.lockName(node)+" USING utf8mb4),0)")
	if err == nil && got != "1" {
		err = xa.ErrHeld
	}
	if err != nil {
		c.drop()
		return control{}, err
	}
	return c, nil
}

// keepAlive pings the session until ctx ends or the session is lost, then ends it.
func (c control) keepAlive(ctx context.Context) {
	defer c.drop()
	tick := time.NewTicker(holdLease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if c.PingContext(ctx) != nil {
				return
			}
		}
	}
}

// drop ends the session instead of giving it back to its pool, whatever state it is in.
func (c control) drop() {
	_ = c.Raw(func(any) error { return driver.ErrBadConn })
	c.putBack()
}

// KillHolder implements xa.NodeStore. It waits until the session is gone; nobody holding the name is success.
func (s *Shard) KillHolder(ctx context.Context, node uint32) error {
	return s.onNodes(ctx, fmt.Sprintf("end the holder of node %d", node), func(c control) error {
		holder, err := c.one(ctx, "SELECT IS_USED_LOCK(CONVERT("+s.lockName(node)+" USING utf8mb4))")
		if err != nil || holder == "" {
			return err
		}
		id, err := strconv.ParseUint(holder, 10, 32)
		if err != nil {
			return fmt.Errorf("lock's holder: %w", err)
		}
		return c.kill(ctx, xa.SessionID{Shard: s.o.Number, Run: c.session.Run, Conn: uint32(id)})
	})
}
