//! SHA-256 that can be written down in the middle and continued by another process (FIPS 180-4).

use riwaq_blobs::Sha256;
use serde::{Deserialize, Serialize};
use sha2::block_api::compress256;

const BLOCK: usize = 64;

/// What SHA-256 begins with (FIPS 180-4 §5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// A digest that has seen some bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub(crate) struct RunningSha256 {
    words: [u32; 8],
    length: u64,
    /// The first `length % 64` of these bytes wait for the rest of their block.
    pending: [u8; BLOCK],
}

/// How it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    words: [u32; 8],
    length: u64,
    pending: String,
}

impl RunningSha256 {
    pub(crate) fn new() -> Self {
        Self {
            words: INITIAL,
            length: 0,
            pending: [0; BLOCK],
        }
    }

    fn waiting(&self) -> usize {
        // Less than 64: no bits are lost.
        (self.length % BLOCK as u64) as usize
    }

    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        let waiting = self.waiting();
        self.length += bytes.len() as u64;
        if waiting > 0 {
            let taken = bytes.len().min(BLOCK - waiting);
            let (first, rest) = bytes.split_at(taken);
            self.pending[waiting..waiting + taken].copy_from_slice(first);
            if waiting + taken < BLOCK {
                return;
            }
            compress256(&mut self.words, &[self.pending]);
            bytes = rest;
        }
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        compress256(&mut self.words, blocks);
        self.pending[..rest.len()].copy_from_slice(rest);
    }

    /// The digest of what was seen.
    pub(crate) fn finish(&self) -> Sha256 {
        let mut padded = self.clone();
        let bits = self.length.wrapping_mul(8);
        let zeros = (2 * BLOCK - 9 - self.waiting()) % BLOCK;
        padded.update(&[0x80]);
        padded.update(&[0; BLOCK][..zeros]);
        padded.update(&bits.to_be_bytes());
        let mut digest = [0; 32];
        for (out, word) in digest.chunks_exact_mut(4).zip(padded.words) {
            out.copy_from_slice(&word.to_be_bytes());
        }
        Sha256(digest)
    }
}

impl From<RunningSha256> for Written {
    fn from(running: RunningSha256) -> Self {
        Self {
            words: running.words,
            length: running.length,
            pending: hex::encode(&running.pending[..running.waiting()]),
        }
    }
}

impl TryFrom<Written> for RunningSha256 {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let bytes = hex::decode(&written.pending).map_err(|error| error.to_string())?;
        let mut running = Self {
            words: written.words,
            length: written.length,
            pending: [0; BLOCK],
        };
        if bytes.len() != running.waiting() {
            return Err("the digest does not fit its length".into());
        }
        running.pending[..bytes.len()].copy_from_slice(&bytes);
        Ok(running)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_length_around_the_block_gives_the_known_digest() {
        let bytes: Vec<u8> = (0..400_u32).map(|n| (n * 7) as u8).collect();
        for length in 0..bytes.len() {
            let mut running = RunningSha256::new();
            running.update(&bytes[..length]);
            assert_eq!(
                running.finish(),
                Sha256::of(&bytes[..length]),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut running = RunningSha256::new();
        running.update(b"abc");
        let good = serde_json::to_string(&running).unwrap();
        assert_eq!(
            serde_json::from_str::<RunningSha256>(&good).unwrap(),
            running
        );
        for (from, to) in [
            ("616263", "6162"),
            ("616263", "xy"),
            ("\"length\":3", "\"length\":4"),
        ] {
            let bad = good.replace(from, to);
            assert_ne!(bad, good);
            assert!(
                serde_json::from_str::<RunningSha256>(&bad).is_err(),
                "{bad}"
            );
        }
    }

    proptest! {
        #[test]
        fn pieces_and_written_states_do_not_change_the_digest(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..12)
        ) {
            let mut running = RunningSha256::new();
            for piece in &pieces {
                running.update(piece);
                let written = serde_json::to_string(&running).unwrap();
                running = serde_json::from_str(&written).unwrap();
            }
            prop_assert_eq!(running.finish(), Sha256::of(&pieces.concat()));
        }
    }
}
