package main

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"

	f_log "github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	folder    = "/log/v1/"
	height    = 8
	tileWidth = 1 << height
)

// verifier opens checkpoints under one origin.
type verifier struct {
	key note.Verifier
}

func newVerifier(key string) (*verifier, error) {
	parsed, err := note.NewVerifier(strings.TrimSpace(key))
	if err != nil {
		return nil, fmt.Errorf("the key: %w", err)
	}
	return &verifier{parsed}, nil
}

func (v *verifier) fetch(service *service) (tlog.Tree, error) {
	text, err := service.get(folder + "checkpoint")
	if err != nil {
		return tlog.Tree{}, err
	}
	return v.open(text)
}

func (v *verifier) open(text []byte) (tlog.Tree, error) {
	checkpoint, _, _, err := f_log.ParseCheckpoint(text, v.key.Name(), v.key)
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("a checkpoint: %w", err)
	}
	tree := tlog.Tree{N: int64(checkpoint.Size)}
	if len(checkpoint.Hash) != copy(tree.Hash[:], checkpoint.Hash) {
		return tlog.Tree{}, fmt.Errorf("a checkpoint has a root of %d bytes", len(checkpoint.Hash))
	}
	return tree, nil
}

// log is the tree of a checkpoint. Its hashes come from tiles that are checked against the root.
type log struct {
	service *service
	tree    tlog.Tree
	hashes  tlog.HashReader
}

func newLog(service *service, tree tlog.Tree) *log {
	tiles := &tiles{service: service, known: map[tlog.Tile][]byte{}}
	return &log{service, tree, tlog.TileHashReader(tree, tiles)}
}

func (l *log) checkTree() error {
	root, err := tlog.TreeHash(l.tree.N, l.hashes)
	if err != nil {
		return fmt.Errorf("the tiles: %w", err)
	}
	if root != l.tree.Hash {
		return fmt.Errorf("the tiles give the root %v, and the checkpoint has %v", root, l.tree.Hash)
	}
	return nil
}

// readEntries reads all entries, by leaf.
func (l *log) readEntries() ([][]byte, error) {
	var entries [][]byte
	for first := int64(0); first < l.tree.N; first += tileWidth {
		width := min(l.tree.N-first, tileWidth)
		bundle := tlog.Tile{H: height, L: -1, N: first / tileWidth, W: int(width)}
		text, err := l.service.get(path(bundle))
		if err != nil {
			return nil, err
		}
		for range width {
			if len(text) < 2 || len(text)-2 < int(binary.BigEndian.Uint16(text)) {
				return nil, fmt.Errorf("%s is too short", path(bundle))
			}
			end := 2 + int(binary.BigEndian.Uint16(text))
			entries = append(entries, text[2:end])
			text = text[end:]
		}
		if len(text) > 0 {
			return nil, fmt.Errorf("%s is too long", path(bundle))
		}
	}
	return entries, nil
}

// checkInclusion proves each entry with the tiles.
func (l *log) checkInclusion(entries [][]byte) error {
	return each(len(entries), func(number int) error {
		leaf := int64(number)
		proof, err := tlog.ProveRecord(l.tree.N, leaf, l.hashes)
		if err == nil {
			hash := tlog.RecordHash(entries[leaf])
			err = tlog.CheckRecord(proof, l.tree.N, l.tree.Hash, leaf, hash)
		}
		if err != nil {
			return fmt.Errorf("the entry of leaf %d: %w", leaf, err)
		}
		return nil
	})
}

// checkConsistency proves with the tiles that the log begins with an earlier tree.
func (l *log) checkConsistency(before tlog.Tree) error {
	proof, err := tlog.ProveTree(l.tree.N, before.N, l.hashes)
	if err == nil {
		err = tlog.CheckTree(proof, l.tree.N, l.tree.Hash, before.N, before.Hash)
	}
	if err != nil {
		return fmt.Errorf("the tiles do not prove that %d leaves begin with the earlier %d: %w",
			l.tree.N, before.N, err)
	}
	return nil
}

// checkAnsweredConsistency checks the service's own proofs, from an earlier checkpoint and from
// sizes around full tiles. It returns the sizes.
func (l *log) checkAnsweredConsistency(before tlog.Tree, verifier *verifier) ([]int64, error) {
	var checked []int64
	sizes := []int64{
		1, 2, tileWidth - 1, tileWidth, tileWidth + 1, 2 * tileWidth, before.N, l.tree.N - 1, l.tree.N,
	}
	for _, size := range sizes {
		if size < 1 || size > l.tree.N {
			continue
		}
		from := before
		if size != before.N {
			root, err := tlog.TreeHash(size, l.hashes)
			if err != nil {
				return nil, fmt.Errorf("the tiles: %w", err)
			}
			from = tlog.Tree{N: size, Hash: root}
		}
		if err := l.checkAnswer(from, verifier); err != nil {
			return nil, fmt.Errorf("the consistency from %d: %w", size, err)
		}
		checked = append(checked, size)
	}
	return checked, nil
}

func (l *log) checkAnswer(from tlog.Tree, verifier *verifier) error {
	var answer struct {
		From, To   int64
		Proof      tlog.TreeProof
		Checkpoint string
	}
	err := l.service.getJSON(fmt.Sprintf("/api/v1/log/consistency?from=%d", from.N), &answer)
	if err != nil {
		return err
	}
	to, err := verifier.open([]byte(answer.Checkpoint))
	if err != nil {
		return err
	}
	if answer.From != from.N || answer.To != to.N {
		return fmt.Errorf("from %d to %d, and the checkpoint has %d leaves", answer.From, answer.To, to.N)
	}
	if to != l.tree {
		return fmt.Errorf("its checkpoint is %v, not the last one, %v", to, l.tree)
	}
	return tlog.CheckTree(answer.Proof, to.N, to.Hash, from.N, from.Hash)
}

// tiles reads tiles from the service and keeps those that were checked.
type tiles struct {
	service *service
	lock    sync.Mutex
	known   map[tlog.Tile][]byte
}

func (t *tiles) Height() int { return height }

func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(wanted))
	for number, tile := range wanted {
		t.lock.Lock()
		hashes, is := t.known[tile]
		t.lock.Unlock()
		if !is {
			var err error
			if hashes, err = t.service.get(path(tile)); err != nil {
				return nil, err
			}
		}
		data[number] = hashes
	}
	return data, nil
}

func (t *tiles) SaveTiles(checked []tlog.Tile, data [][]byte) {
	t.lock.Lock()
	defer t.lock.Unlock()
	for number, tile := range checked {
		t.known[tile] = data[number]
	}
}

// path writes Go's tile/8/LEVEL/INDEX and tile/8/data/INDEX as c2sp.org/tlog-tiles does.
func path(tile tlog.Tile) string {
	rest := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", height))
	if bundle, is := strings.CutPrefix(rest, "data/"); is {
		rest = "entries/" + bundle
	}
	return folder + "tile/" + rest
}
