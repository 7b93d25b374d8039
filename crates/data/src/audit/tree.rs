//! The Merkle tree of RFC 9162 §2.1 (RFC 6962 §2.1 before it) over leaves that are hashed already: roots, proofs and
//! their verification. It must not know what a leaf stands for.

use domain::id::Digest;

/// The root of no leaves: the hash of nothing.
pub fn empty_root() -> Digest {
    Digest::of(b"")
}

fn node(left: Digest, right: Digest) -> Digest {
    let mut bytes = [0; 65];
    bytes[0] = 1;
    bytes[1..33].copy_from_slice(left.as_bytes());
    bytes[33..].copy_from_slice(right.as_bytes());
    Digest::of(&bytes)
}

/// The roots of the perfect subtrees that the leaves so far make, largest first: all that it takes to go on, 64
/// digests at most.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Range {
    size: u64,
    peaks: Vec<Digest>,
}

impl Range {
    /// How many leaves it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Digest) {
        let mut root = leaf;
        // One merge per trailing one-bit: that many perfect subtrees become one of twice the size.
        for _ in 0..self.size.trailing_ones() {
            let left = self.peaks.pop().expect("a range has one peak per one-bit of its size");
            root = node(left, root);
        }
        self.peaks.push(root);
        self.size += 1;
    }

    /// The tree's root.
    pub fn root(&self) -> Digest {
        self.peaks.iter().rev().copied().reduce(|right, left| node(left, right)).unwrap_or_else(empty_root)
    }
}

/// The root of these leaves.
pub fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(root(left), root(right))
        }
    }
}

/// The largest power of two below `size`.
fn split(size: usize) -> usize {
    1 << (size - 1).ilog2()
}

/// The proof that the leaf at `index` is among these (RFC 9162 §2.1.3.1); `None` if there is no such leaf.
pub fn inclusion_proof(leaves: &[Digest], index: usize) -> Option<Vec<Digest>> {
    if index >= leaves.len() {
        return None;
    }
    let mut proof = Vec::new();
    let (mut leaves, mut index) = (leaves, index);
    while leaves.len() > 1 {
        let (left, right) = leaves.split_at(split(leaves.len()));
        if index < left.len() {
            proof.push(root(right));
            leaves = left;
        } else {
            proof.push(root(left));
            index -= left.len();
            leaves = right;
        }
    }
    proof.reverse();
    Some(proof)
}

/// Whether a proof shows that `leaf` is at `index` of the tree with this size and root (RFC 9162 §2.1.3.2).
pub fn is_included(leaf: Digest, index: u64, size: u64, proof: &[Digest], root: Digest) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node(*sibling, hash);
            // A right edge that has no sibling on some levels: skip those.
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(hash, *sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && hash == root
}

/// The proof that the first `old` of these leaves are a prefix of all of them (RFC 9162 §2.1.4.1); `None` unless
/// 0 < `old` ≤ their number.
pub fn consistency_proof(leaves: &[Digest], old: usize) -> Option<Vec<Digest>> {
    if old == 0 || old > leaves.len() {
        return None;
    }
    let mut proof = Vec::new();
    let (mut leaves, mut old, mut whole) = (leaves, old, true);
    while old != leaves.len() {
        let (left, right) = leaves.split_at(split(leaves.len()));
        if old <= left.len() {
            proof.push(root(right));
            leaves = left;
        } else {
            proof.push(root(left));
            old -= left.len();
            leaves = right;
            whole = false;
        }
    }
    if !whole {
        proof.push(root(leaves));
    }
    proof.reverse();
    Some(proof)
}

/// Whether a proof shows that the tree of `old` leaves is a prefix of the tree of `new` (RFC 9162 §2.1.4.2).
pub fn is_consistent(old: u64, new: u64, old_root: Digest, new_root: Digest, proof: &[Digest]) -> bool {
    if old == 0 || old > new {
        return false;
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    // Where the old tree is one perfect subtree, its root is the first node and is not repeated in the proof.
    let path: Vec<Digest> = if old.is_power_of_two() { [&[old_root], proof].concat() } else { proof.to_vec() };
    let Some((first, rest)) = path.split_first() else { return false };
    let (mut at, mut last) = (old - 1, new - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let (mut of_old, mut of_new) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            of_old = node(*sibling, of_old);
            of_new = node(*sibling, of_new);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            of_new = node(of_new, *sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && of_old == old_root && of_new == new_root
}

#[cfg(test)]
mod tests {
    use domain::id::Digest;

    use super::{Range, consistency_proof, empty_root, inclusion_proof, is_consistent, is_included, root};

    fn leaf(data: &[u8]) -> Digest {
        Digest::of(&[&[0], data].concat())
    }

    fn leaves(count: u8) -> Vec<Digest> {
        (0..count).map(|i| leaf(&[i])).collect()
    }

    /// The roots of the first n of eight leaves, from the reference test of certificate-transparency-go
    /// (`merkletree` test data).
    const KNOWN: [&str; 8] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    #[test]
    fn roots_are_those_of_the_reference_vectors() {
        let data: [&[u8]; 8] = [
            b"",
            &[0x00],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
        ];
        let leaves: Vec<_> = data.into_iter().map(leaf).collect();
        let mut range = Range::default();
        assert_eq!(range.root(), empty_root());
        for (i, known) in KNOWN.iter().enumerate() {
            range.push(leaves[i]);
            assert_eq!(range.root().to_string(), *known, "{}", i + 1);
            assert_eq!(root(&leaves[..=i]).to_string(), *known, "{}", i + 1);
        }
    }

    #[test]
    fn adding_leaf_by_leaf_gives_the_root_of_all_of_them() {
        let leaves = leaves(130);
        let mut range = Range::default();
        for (i, leaf) in leaves.iter().enumerate() {
            range.push(*leaf);
            assert_eq!(range.root(), root(&leaves[..=i]));
        }
        assert_eq!(range.size(), 130);
    }

    #[test]
    fn each_leaf_is_proven_where_it_is_and_nowhere_else() {
        for size in 1..40u8 {
            let leaves = leaves(size);
            let root = root(&leaves);
            for index in 0..size {
                let proof = inclusion_proof(&leaves, index.into()).unwrap();
                let shows = |at: u8, leaf| is_included(leaf, at.into(), size.into(), &proof, root);
                assert!(shows(index, leaves[usize::from(index)]), "{index} of {size}");
                assert!(!shows(index, leaf(b"another")));
                assert!((0..size).filter(|at| *at != index).all(|at| !shows(at, leaves[usize::from(index)])));
                let longer = [proof.clone(), vec![root]].concat();
                assert!(!is_included(leaves[usize::from(index)], index.into(), size.into(), &longer, root));
            }
            assert_eq!(inclusion_proof(&leaves, size.into()), None);
        }
    }

    #[test]
    fn each_prefix_is_proven_and_no_fork_is() {
        for new in 1..40u8 {
            let all = leaves(new);
            for old in 1..=new {
                let proof = consistency_proof(&all, old.into()).unwrap();
                let (before, after) = (root(&all[..old.into()]), root(&all));
                let shows = |from, to| is_consistent(old.into(), new.into(), from, to, &proof);
                assert!(shows(before, after), "{old} of {new}");
                assert!(!shows(leaf(b"another"), after));
                assert!(!shows(before, leaf(b"another")));
                for i in 0..proof.len() {
                    let mut bent = proof.clone();
                    bent[i] = leaf(b"another");
                    assert!(!is_consistent(old.into(), new.into(), before, after, &bent));
                }
            }
        }
    }
}
