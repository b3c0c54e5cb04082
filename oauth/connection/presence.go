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
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// A claim that was written late may lie over what another node has written, so it is trusted
// only when that node had the time to mend it. A node that is alone need not wait for that, and
// whether it is alone stands in the storage:
//
//   - Each node has an entry beside the records, and begins no write of a record while that is
//     not there, or is older than announcedFor. So who has written to a record has had an entry
//     before that.
//   - Whoever was late lists the entries after that, when every node can see what came before.
//     If there is no other one, nothing can lie below: a node whose entry comes later has read
//     the record later than that, or is late itself, and sees this one's.
//   - An entry stays, or what was written in the meantime could not be told from nothing. A
//     node that ends says so in it, and one that dies is silent. Either counts as gone for a
//     reading only that began when all of its writes had completed.
//
// What is missing or cannot be read, a list without the own entry, and a record whose last
// writer had none, as those of earlier versions, speak for others. No clock of another node is
// believed.
const (
	// announceEvery is how often an entry is written.
	announceEvery = time.Minute

	// announcedFor is how old an entry may be when its node begins to write a record.
	announcedFor = 3 * time.Minute

	// silentAfter is how long an entry must have been the same for all writes of its node to
	// have completed.
	silentAfter = announcedFor + record.StorageTimeout + 5*time.Second

	// forgetAfter is how old an entry is that is removed, by its own clock too.
	forgetAfter = time.Hour

	// maxEntries is how many entries are looked at. More are of processes that die all the
	// time, and speak for others.
	maxEntries = 64

	// leavePatience bounds the wait for the last entry of a process that ends.
	leavePatience = 2 * time.Second
)

// presence knows which nodes have written to the records of a datasource in one storage.
type presence struct {
	storage record.Bounded
	folder  string
	name    string // of the own entry

	mu        sync.Mutex
	announced time.Time  // when the writing of the own entry began, which is there; zero: it is not
	writing   *operation // that is under way
	beat      int
	others    map[string]*sighting
}

// entry is what is stored. It differs each time.
type entry struct {
	Beat int   `json:"beat"`
	At   int64 `json:"at"` // Unix time in milliseconds
	Gone bool  `json:"gone,omitempty"`
}

// sighting is an entry of another node, and since when it has been seen as it is.
type sighting struct {
	text  string
	entry entry
	since time.Time
}

func newPresence(storage record.Bounded, datasource, name string) *presence {
	// No datasource has such a name. In its own folder the file storage's list would have this
	// one as a file that was left behind.
	return &presence{
		storage: storage, folder: path.Join("authenticated_api", datasource+".nodes"), name: name, others: make(map[string]*sighting),
	}
}

// own returns the name of the own entry, or "".
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

// announce returns when the own entry is there and new enough for a write to begin, which it
// nearly always is.
func (p *presence) announce(ctx context.Context) error {
	if p == nil {
		return nil
	}
	return p.announceWithin(ctx, announcedFor)
}

func (p *presence) announceWithin(ctx context.Context, age time.Duration) error {
	p.mu.Lock()
	if p.fresh(age) {
		p.mu.Unlock()
		return nil
	}
	f := p.writing
	if f == nil {
		f = &operation{done: make(chan struct{})}
		p.writing = f
		go p.write(f) //nolint:contextcheck,gosec // G118: others wait for it too
	}
	p.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// fresh reports whether the own entry is there, and not older. A machine that was suspended may
// know that by one of its two clocks alone. mu is held.
func (p *presence) fresh(age time.Duration) bool {
	now := time.Now()
	return !p.announced.IsZero() && now.Sub(p.announced) < age && now.Round(0).Sub(p.announced.Round(0)).Abs() < age
}

func (p *presence) write(f *operation) {
	// Who has gone before a process begins must be known to have when it reads its first record.
	ctx, cancel := context.WithTimeout(context.Background(), recheckPatience)
	p.look(ctx)
	cancel()
	began := time.Now()
	f.err = p.put(context.Background(), record.StorageTimeout, false)
	p.mu.Lock()
	p.writing = nil
	if f.err == nil {
		p.announced = began
	}
	p.mu.Unlock()
	close(f.done)
}

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

// leave says in the own entry that this process writes nothing any more. It says nothing while
// a write hangs, which may land yet.
func (p *presence) leave() {
	p.mu.Lock()
	there := !p.announced.IsZero() && p.writing == nil && !p.storage.Slots.Writing()
	p.announced = time.Time{}
	p.mu.Unlock()
	if there {
		_ = p.put(context.Background(), leavePatience, true)
	}
}

// alone reports whether no other node can have written to a record since a reading of it began.
// What was written in the meantime must have been there for as long as a read may lag behind.
func (p *presence) alone(ctx context.Context, read time.Time) bool {
	return p != nil && !read.IsZero() && p.othersGone(read) && p.look(ctx) && p.othersGone(read)
}

// othersGone reports whether all nodes that are known had gone when a reading began.
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

// gone reports whether all writes of a node had completed when a reading began, and could be seen.
func (o *sighting) gone(read time.Time) bool {
	if o.entry.Gone {
		return read.Sub(o.since) > lateAfter
	}
	return read.Sub(o.since) > silentAfter
}

// look looks at the entries of others. It reports whether all of them were seen.
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
		case errors.Is(err, fs.ErrNotExist): // what is known of it counts
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
		seen.entry = entry{} // it was seen while it was written
	}
	p.others[name] = seen
}

// keep writes the own entry and looks at those of others, now and then, until ctx ends.
func (p *presence) keep(ctx context.Context) {
	for wait := keepDelay; sleep(ctx, wait) == nil; wait = announceEvery {
		if p.announceWithin(ctx, announceEvery/2) == nil && p.look(ctx) {
			p.forget(ctx)
		}
	}
}

// forget removes entries of nodes that have been gone for long.
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
