// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// A slow write of a claim may land on top of what another node has written, so a node trusts
// such a claim only when the other node has had time to repair the record. A node that is alone
// need not wait for that. The storage says whether a node is alone:
//
//   - Each node that works with records has an entry beside them. A node begins no write of a
//     record while its entry is missing, or older than announcedFor. So a node that has written
//     to a record had an entry before that.
//   - A node whose write was slow lists the entries after that write, when every node can see
//     what was written before. If there is no entry of another node, nothing can lie below the
//     claim: a node whose entry comes later has read the record later too, or is slow itself and
//     sees our entry.
//   - An entry stays when its node ends; otherwise nobody could tell whether the node has
//     written in the meantime. A node that ends says so in its entry, and a node that dies falls
//     silent. Both count as gone only for a reading that began after all of the node's writes
//     had completed.
//
// An entry that is missing or cannot be read, a list without our own entry, and a record whose
// last writer had no entry (as in earlier versions) all mean that there may be another node. No
// clock of another node is trusted.
const (
	// announceEvery is how often a node writes its entry once there are records.
	announceEvery = time.Minute

	// announcedFor is how old an entry may be when its node begins to write a record.
	announcedFor = 3 * time.Minute

	// silentAfter is how long an entry must have been unchanged before all writes of its node have
	// completed.
	silentAfter = announcedFor + record.StorageTimeout + 5*time.Second

	// forgetAfter is the age, also by its own clock, at which an entry is removed.
	forgetAfter = time.Hour

	// maxEntries is how many entries are read at most. A folder with more entries belongs to
	// processes that die all the time, and means that there may be another node.
	maxEntries = 64

	// leavePatience bounds the wait for the last entry of a process that ends.
	leavePatience = 2 * time.Second
)

// presence knows which nodes have written to the records of a datasource in one storage.
type presence struct {
	storage record.Bounded
	folder  string
	name    string // of our own entry
	beats   *beats
	kept    atomic.Bool // whether our own entry is written by itself

	mu        sync.Mutex           // guards what follows
	announced time.Time            // when our own entry was written; zero: there is none
	writing   *operation           // the write of our own entry that is under way; nil if none is
	beat      int                  // of our own entry
	others    map[string]*sighting // the entries of other nodes, by name
}

// entry is the content of an entry. Each write of it differs.
type entry struct {
	Beat int   `json:"beat"` // counts the writes
	At   int64 `json:"at"`   // Unix time in milliseconds
	Gone bool  `json:"gone,omitempty"`
}

// sighting is an entry of another node, and since when it has been unchanged.
type sighting struct {
	text  string
	entry entry
	since time.Time
}

func newPresence(storage record.Bounded, datasource, name string, beats *beats) *presence {
	// No datasource has a name with this ending, so the folder is free. In the folder of the
	// datasource itself, a list of the file storage would show the entries' folder as a record
	// that was left behind.
	return &presence{
		storage: storage, folder: path.Join("authenticated_api", datasource+".nodes"), name: name, beats: beats, others: make(map[string]*sighting),
	}
}

// own returns the name of our own entry, or "".
func (p *presence) own() string {
	if p == nil {
		return ""
	}
	return p.name
}

// isAnnounced reports whether a write may begin at once.
func (p *presence) isAnnounced() bool {
	if p == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fresh(announcedFor)
}

// announce returns once our own entry is there, and new enough for a write to begin. It nearly
// always is.
func (p *presence) announce(ctx context.Context) error {
	if p == nil {
		return nil
	}
	return p.announceWithin(ctx, announcedFor)
}

// announceWithin returns once our own entry is there, and younger than age.
func (p *presence) announceWithin(ctx context.Context, age time.Duration) error {
	p.mu.Lock()
	if p.fresh(age) {
		p.mu.Unlock()
		return nil
	}
	op := p.writing
	if op == nil {
		op = &operation{done: make(chan struct{})}
		p.writing = op
		go p.write(op) //nolint:contextcheck,gosec // G118: other callers wait for it too
	}
	p.mu.Unlock()
	select {
	case <-op.done:
		return op.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// fresh reports whether our own entry is there, and younger than age. After a suspension of the
// machine, one of its two clocks alone may show the age, so both must agree. The caller holds
// mu.
func (p *presence) fresh(age time.Duration) bool {
	now := time.Now()
	return !p.announced.IsZero() && now.Sub(p.announced) < age && now.Round(0).Sub(p.announced.Round(0)).Abs() < age
}

// write writes our own entry.
func (p *presence) write(op *operation) {
	// The process must know which nodes had gone before it began, when it reads its first record.
	ctx, cancel := context.WithTimeout(context.Background(), recheckPatience)
	p.look(ctx)
	cancel()
	began := time.Now()
	op.err = p.put(context.Background(), record.StorageTimeout, false)
	p.mu.Lock()
	p.writing = nil
	if op.err == nil {
		p.announced = began
	}
	p.mu.Unlock()
	if op.err == nil {
		p.need(began.Add(announceEvery))
	}
	close(op.done)
}

// put stores our own entry. gone says that this process ends.
func (p *presence) put(ctx context.Context, patience time.Duration, gone bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p.mu.Lock()
	p.beat++
	e := entry{p.beat, time.Now().UnixMilli(), gone}
	p.mu.Unlock()
	text, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encoding an entry: %w", err)
	}
	if err := p.storage.Store(ctx, path.Join(p.folder, p.name), text); err != nil {
		return fmt.Errorf("announcing this node: %w", err)
	}
	return nil
}

// leave says in our own entry that this process writes nothing any more. It says nothing while a
// write hangs, since that write may still land.
func (p *presence) leave() {
	p.mu.Lock()
	there := !p.announced.IsZero() && p.writing == nil && !p.storage.Slots.Writing()
	p.announced = time.Time{}
	p.mu.Unlock()
	if there {
		_ = p.put(context.Background(), leavePatience, true)
	}
}

// alone reports whether no other node can have written to a record since read, when a reading of
// the record began. The caller must have waited for as long as a read may lag behind, so that
// all entries can be seen.
func (p *presence) alone(ctx context.Context, read time.Time) bool {
	return p != nil && !read.IsZero() && p.othersGone(read) && p.look(ctx) && p.othersGone(read)
}

// othersGone reports whether all nodes that this process knows had gone when a reading began.
func (p *presence) othersGone(read time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, other := range p.others {
		if !other.gone(read) {
			return false
		}
	}
	return true
}

// gone reports whether all writes of the entry's node had completed, and could be seen, when a
// reading began.
func (o *sighting) gone(read time.Time) bool {
	if o.entry.Gone {
		return read.Sub(o.since) > lateAfter
	}
	return read.Sub(o.since) > silentAfter
}

// look reads the entries of other nodes. It reports whether it has seen all of them.
func (p *presence) look(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, record.StorageTimeout)
	defer cancel()
	names, err := p.storage.List(ctx, p.folder, false)
	if err != nil || len(names) > maxEntries {
		return false
	}
	own := false
	for _, name := range names {
		if name = path.Base(name); name == p.name {
			own = true
			continue
		}
		raw, err := p.storage.Load(ctx, path.Join(p.folder, name))
		switch {
		case errors.Is(err, fs.ErrNotExist): // the earlier sighting counts
		case err != nil:
			return false
		default:
			p.see(name, string(raw))
		}
	}
	return own
}

// see notes an entry of another node.
func (p *presence) see(name, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.others[name]; known != nil && known.text == text {
		return
	}
	seen := &sighting{text: text, since: time.Now()}
	if json.Unmarshal([]byte(text), &seen.entry) != nil {
		seen.entry = entry{} // the node was about to write it
	}
	p.others[name] = seen
}

// beats says when the entry of a datasource is written by itself, across reloads.
type beats struct {
	clock  keeperClock
	needed atomic.Bool
}

// need has our own entry written now and then, from a time on. Where nothing is stored, which may
// be so for thousands of datasources, nobody needs to know of this node. Its entry comes before
// its first write anyway. From then on it is kept alive: another node may remove one that is old.
func (p *presence) need(from time.Time) {
	if p != nil && !p.kept.Load() {
		p.beats.needed.Store(true)
		p.beats.clock.wakeBy(from)
	}
}

// begins returns when keep is called first, which is not before a time.
func (p *presence) begins(earliest time.Time) time.Time {
	if p.beats.needed.Load() {
		return earliest
	}
	return earliest.Add(asleep) // need wakes it
}

// keep writes our own entry and reads the entries of other nodes. It returns how long to wait
// until it is called again.
func (p *presence) keep(ctx context.Context) (wait time.Duration) {
	p.kept.Store(true)
	if p.announceWithin(ctx, announceEvery/2) == nil && p.look(ctx) {
		p.forget(ctx)
	}
	return announceEvery
}

// forget removes the entries of nodes that have long been gone.
func (p *presence) forget(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, record.StorageTimeout)
	defer cancel()
	now := time.Now()
	var names []string
	p.mu.Lock()
	for name, other := range p.others {
		if now.Sub(other.since) > silentAfter && now.Sub(time.UnixMilli(other.entry.At)) > forgetAfter {
			names = append(names, name)
		}
	}
	p.mu.Unlock()
	for _, name := range names {
		if err := p.storage.Delete(ctx, path.Join(p.folder, name)); err == nil || errors.Is(err, fs.ErrNotExist) {
			p.mu.Lock()
			delete(p.others, name)
			p.mu.Unlock()
		}
	}
}
