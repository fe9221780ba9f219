//! Reproducible random choices: by a seed, which a failing test prints.

/// The environment variable with the seed of randomised tests.
const SEED: &str = "SEED";

/// SplitMix64: Steele, Lea, Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014.
#[derive(Debug, Clone)]
pub struct Random(u64);

/// Returns a seed to print: the one in `SEED=…`, otherwise a new one.
pub fn seed() -> u64 {
    match std::env::var(SEED) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{SEED}={text} is not a number")),
        Err(_) => u64::from(u32::from_ne_bytes(kernel::seams::random_bytes().unwrap())),
    }
}

impl Random {
    /// Returns the choices of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the choices of one of several users of a seed.
    pub fn of(seed: u64, number: u64) -> Self {
        let mut base = Self(seed);
        Self(base.next() ^ Self(number).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bias of the remainder does not matter for bounds this small.
        self.next() % bound
    }

    /// Returns an index of a sequence with `length` elements.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    /// Returns one of several values.
    pub fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.index(choices.len())]
    }

    /// Returns `true` in this percentage of cases.
    pub fn percent(&mut self, cases: u64) -> bool {
        self.below(100) < cases
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_choices_and_others_make_others() {
        let choices = |mut random: Random| (0..20).map(|_| random.below(1000)).collect::<Vec<_>>();
        assert_eq!(choices(Random::new(7)), choices(Random::new(7)));
        assert_ne!(choices(Random::new(7)), choices(Random::new(8)));
        assert_ne!(choices(Random::of(7, 0)), choices(Random::of(7, 1)));
    }
}
