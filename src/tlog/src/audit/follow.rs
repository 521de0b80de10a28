//! What an audit takes after the last bundle: records that were late, and a later checkpoint whose
//! retention accounts for records that left meanwhile.

use crate::audit::bundle::split_bundle;
use crate::audit::evidence::Evidence;
use crate::audit::finding::{FindingKind, Place};
use crate::audit::retention::Absent;
use crate::audit::root::{partial_tiles, root_of};
use crate::audit::{Audit, read_entry};
use crate::checkpoint::Checkpoint;
use crate::edge::Edge;
use crate::entry::Entry;
use crate::hash::{Hash, hash_complete, hash_leaf};
use crate::tile::TILE_WIDTH;

impl Audit {
    /// Up to `limit` leaves for which nothing was stored, and the number of all.
    pub fn absent(&self, limit: usize) -> (Vec<Absent>, u64) {
        let mut absent = self.accounts.absent();
        let mut first: Vec<Absent> = absent.by_ref().take(limit).collect();
        let all = first.len() as u64 + absent.count() as u64;
        first.sort_unstable_by_key(|absent| absent.index);
        (first, all)
    }

    /// Takes what was stored for an absent leaf, with the leaf's bundle of entries; returns whether
    /// the entries are those of the tree.
    pub fn found(&mut self, entries: &[u8], evidence: &Evidence) -> bool {
        let bundle = evidence.index / TILE_WIDTH;
        let Some(entries) = split_bundle(entries) else {
            return false;
        };
        let hashes: Vec<Hash> = entries.iter().map(|entry| hash_leaf(entry)).collect();
        let is_same = match self.tree.computed() {
            Some((roots, _)) if (bundle as usize) < roots.len() => {
                hash_complete(&hashes).as_ref() == roots.get(bundle as usize)
            }
            Some((_, tail)) => hashes == tail,
            None => false,
        };
        let entry = entries.get((evidence.index % TILE_WIDTH) as usize);
        let entry = entry.and_then(|entry| read_entry(entry));
        if let Some(Entry::Stored(entry)) = entry.filter(|_| is_same)
            && self.accounts.found(evidence.index)
        {
            self.stored(&entry, evidence);
        }
        is_same
    }

    /// Size of the log so far.
    pub fn followed(&self) -> u64 {
        let ahead = self.ahead.as_ref();
        ahead.map_or(self.checkpoint.size, Edge::size)
    }

    /// Follows the log to a later checkpoint, signed by the same key: `bundles` are those from the
    /// one with the leaf [`Self::followed`]. Its retention entries account for absent leaves.
    /// Returns whether the entries lead from the log so far to the checkpoint. If all are there and
    /// do not, the log has forked.
    pub fn follow(&mut self, checkpoint: &Checkpoint, bundles: &[Vec<u8>]) -> bool {
        let Some(mut edge) = self.ahead.clone().or_else(|| self.edge()) else {
            return false;
        };
        let begin = edge.size();
        let skipped = (begin % TILE_WIDTH) as usize;
        let mut entries = Vec::new();
        for bundle in bundles {
            let Some(bundle) = split_bundle(bundle) else {
                return false;
            };
            entries.extend(bundle);
        }
        let entries = entries.get(skipped..).unwrap_or(&[]);
        for entry in entries {
            edge.push(hash_leaf(entry));
        }
        if edge.size() < checkpoint.size {
            return false;
        }
        if edge.size() != checkpoint.size || edge.root() != checkpoint.root {
            let what = format!(
                "the entries do not lead to the later checkpoint of {} leaves",
                checkpoint.size
            );
            let place = Place::Leaves(begin, edge.size());
            self.findings.add(FindingKind::Forked, what, place);
            return false;
        }
        edge.take_tiles();
        for (leaf, entry) in (begin..).zip(entries) {
            match read_entry(entry) {
                Some(Entry::Retention(entry)) => {
                    self.clock.retention(leaf, &entry, &mut self.findings);
                    let removal = self.accounts.retention(leaf, &entry, &mut self.findings);
                    self.removals.push(removal);
                }
                Some(Entry::Stored(entry)) => {
                    self.clock.stored(leaf, &entry, &mut self.findings);
                    self.accounts.leaf(leaf, &entry, false);
                }
                Some(Entry::Origin(_)) => self.clock.origin(),
                None => self.accounts.distrust(),
            }
        }
        self.ahead = Some(edge);
        true
    }

    /// The edge of the tree, if the entries give the signed root.
    fn edge(&self) -> Option<Edge> {
        let (roots, tail) = self.tree.computed()?;
        if root_of(roots, tail) != self.checkpoint.root {
            return None;
        }
        let partial: Vec<Vec<u8>> = partial_tiles(roots, tail)
            .into_iter()
            .map(|hashes| hashes.concat())
            .collect();
        let tile = |level| {
            partial
                .get(usize::from(level))
                .map_or(&[][..], Vec::as_slice)
        };
        Edge::read(self.checkpoint.size, tile).ok()
    }
}
