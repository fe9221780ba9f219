//! Which stories are walked: from each situation each ordered pair of commands, with a deadline that
//! passes before, between or after them, the second given when the first has come to rest or at once.
//!
//! Time is the same for all stories of a walk, so that they share a sequence of beats: a story gives its
//! commands in some of them.

use std::collections::HashSet;

use testkit::random::Random;

use super::commands::Command;

/// What happens at one point of time, to all stories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// Commands are given; those of one story in the same beat at once.
    Give,
    /// Everything comes to rest.
    Rest,
    /// Every deadline that was set passes.
    Deadline,
}

/// The beats of every walk. A deadline passes with commands to come, and once more after all of them, so
/// that what is left must rest without any deadline to wait for.
pub(super) const BEATS: &[Beat] = &[
    Beat::Give, // PLACED
    Beat::Rest,
    Beat::Give, // BEFORE
    Beat::Rest,
    Beat::Give, // BEFORE + 2
    Beat::Rest,
    Beat::Give, // FIRST
    Beat::Rest,
    Beat::Give, // SECOND
    Beat::Rest,
    Beat::Deadline,
    Beat::Give, // AT_THE_DEADLINE
    Beat::Rest,
    Beat::Give, // THIRD
    Beat::Rest,
    Beat::Give, // FOURTH
    Beat::Rest,
    Beat::Deadline,
    Beat::Rest,
];
const PLACED: usize = 0;
const BEFORE: usize = 2;
const FIRST: usize = 6;
const SECOND: usize = 8;
pub(super) const AT_THE_DEADLINE: usize = 11;
const THIRD: usize = 13;
const FOURTH: usize = 15;

const OK: &str = "sandbox:ok";
const NEVER: &str = "sandbox:never";
const DECLINED: &str = "sandbox:declined";
const SLOW: &str = "sandbox:slow";
const FLAKY: &str = "sandbox:flaky";
const REFUND_REFUSED: &str = "sandbox:refund-refused";

/// Where a story begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    pub(super) name: &'static str,
    /// How the order is to be paid.
    pub(super) method: &'static str,
    /// What is asked before, one after the other, each come to rest.
    before: &'static [Command],
}

const fn start(name: &'static str, method: &'static str, before: &'static [Command]) -> Start {
    Start { name, method, before }
}

/// Situations in which a payment is under way, whose deadline passes at some time.
const UNDER_WAY: &[Start] = &[
    start("awaits its payment", NEVER, &[]),
    start("confirmed before it is paid", NEVER, &[Command::ConfirmOrder]),
];

/// Situations without a deadline.
const SETTLED: &[Start] = &[
    start("paid", OK, &[]),
    start("paid and fulfilled", OK, &[Command::FulfilOrder]),
    start("declined", DECLINED, &[]),
    start("some of it returned", OK, &[Command::FulfilOrder, Command::ReturnSome]),
    start("its refund failed", REFUND_REFUSED, &[Command::RefundSome]),
    start(
        "confirmed, its payment cancelled",
        NEVER,
        &[Command::ConfirmOrder, Command::CancelPayment],
    ),
];

/// The moment in which the order is placed.
const JUST_PLACED: &[Start] = &[
    start("just placed, never paid", NEVER, &[]),
    start("just placed, paid", OK, &[]),
    start("just placed, declined", DECLINED, &[]),
    start("just placed, paid slowly", SLOW, &[]),
    start("just placed, paid after failures", FLAKY, &[]),
];

/// One order's story.
#[derive(Debug, Clone)]
pub(super) struct Story {
    pub(super) start: Start,
    /// The beats in which it gives commands, in their order.
    gives: Vec<(usize, Vec<Command>)>,
}

impl Story {
    fn new(start: Start, gives: &[(usize, &[Command])]) -> Self {
        let before = start.before.iter().enumerate();
        let before = before.map(|(number, command)| (BEFORE + 2 * number, vec![*command]));
        let then = gives.iter().map(|(beat, commands)| (*beat, commands.to_vec()));
        Self { start, gives: before.chain(then).collect() }
    }

    /// What it gives in a beat.
    pub(super) fn at(&self, beat: usize) -> &[Command] {
        let found = self.gives.iter().find(|(at, _)| *at == beat);
        found.map_or(&[], |(_, commands)| commands)
    }

    /// What it is about: what it gives after its start.
    fn about(&self) -> &[(usize, Vec<Command>)] {
        &self.gives[self.start.before.len()..]
    }

    /// The commands of that, in their order.
    fn commands(&self) -> Vec<Command> {
        self.about().iter().flat_map(|(_, commands)| commands).copied().collect()
    }

    /// Its first command, if each is given at rest.
    pub(super) fn first_step(&self) -> Option<Step> {
        let (beat, commands) = self.about().first()?;
        self.is_in_order().then(|| Step::new(self.start, *beat, commands[0]))
    }

    /// Whether its customer is its own, and not shared with others.
    pub(super) fn changes_its_customer(&self) -> bool {
        let mut commands = self.gives.iter().flat_map(|(_, commands)| commands);
        commands.any(|command| Command::OF_THE_CUSTOMER.contains(command))
    }

    /// Whether each command was given when everything had come to rest: then the answer follows from how
    /// things stood, and is the same in every walk.
    pub(super) fn is_in_order(&self) -> bool {
        self.gives.iter().all(|(beat, commands)| {
            commands.len() == 1 && *beat != AT_THE_DEADLINE && *beat != PLACED
        })
    }
}

/// A command that is given at rest, before or after the deadline of the payments that are under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Step {
    start: &'static str,
    beat: usize,
    command: Command,
}

impl Step {
    fn new(start: Start, beat: usize, command: Command) -> Self {
        let beat = if beat < AT_THE_DEADLINE { FIRST } else { THIRD };
        Self { start: start.name, beat, command }
    }
}

/// Each command alone, wherever a pair that is given at rest has it.
pub(super) fn alone() -> Vec<Story> {
    let (mut steps, mut stories) = (HashSet::new(), Vec::new());
    for pair in pairs().into_iter().filter(Story::is_in_order) {
        for (beat, commands) in pair.about() {
            let step = Step::new(pair.start, *beat, commands[0]);
            if steps.insert(step) {
                stories.push(Story::new(pair.start, &[(step.beat, commands)]));
            }
        }
    }
    stories
}

/// A part of the pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    All,
    /// One of every few, the first of them at a place.
    OneOf(usize, usize),
}

impl Share {
    pub(super) fn of_all(self) -> Vec<Story> {
        let stories = pairs().into_iter().enumerate();
        stories.filter(|(number, _)| self.has(*number)).map(|(_, story)| story).collect()
    }

    /// All that are given at rest and begin with one of the steps that change something, and this share of
    /// those that are given at once. After a first command that changes nothing the second one finds what
    /// it finds alone: of those only so many that each pair is given in either order.
    pub(super) fn of_those_that_begin_with(self, changing: &HashSet<Step>) -> Vec<Story> {
        let (mut taken, mut others, mut given) = (Vec::new(), Vec::new(), HashSet::new());
        for (number, story) in pairs().into_iter().enumerate() {
            let Some(first) = story.first_step() else {
                if self.has(number) {
                    taken.push(story);
                }
                continue;
            };
            if changing.contains(&first) {
                given.insert(story.commands());
                taken.push(story);
            } else {
                others.push(story);
            }
        }
        taken.extend(others.into_iter().filter(|story| given.insert(story.commands())));
        taken
    }

    /// The place among the few moves on: the forms of a pair follow each other, and each is to have its
    /// turn with some pairs.
    fn has(self, number: usize) -> bool {
        match self {
            Self::All => true,
            Self::OneOf(few, first) => (number + number / few) % few == first,
        }
    }
}

/// Every pair of commands in every order, from every situation. At once there is no order of the two.
pub(super) fn pairs() -> Vec<Story> {
    let mut stories = Vec::new();
    let mut tell = |start: &Start, gives: &[(usize, &[Command])]| {
        if gives.iter().all(|(_, commands)| commands.is_sorted()) {
            stories.push(Story::new(*start, gives));
        }
    };
    for [a, b] in pairs_of(Command::OF_THE_SALE) {
        for start in UNDER_WAY {
            tell(start, &[(FIRST, &[a]), (SECOND, &[b])]);
            tell(start, &[(FIRST, &[a, b])]);
            tell(start, &[(FIRST, &[a]), (THIRD, &[b])]);
            tell(start, &[(FIRST, &[a]), (AT_THE_DEADLINE, &[b])]);
            tell(start, &[(THIRD, &[a]), (FOURTH, &[b])]);
            tell(start, &[(AT_THE_DEADLINE, &[a, b])]);
        }
        for start in SETTLED {
            tell(start, &[(FIRST, &[a]), (SECOND, &[b])]);
            tell(start, &[(FIRST, &[a, b])]);
        }
    }
    for [a, b] in pairs_of(Command::AT_THE_PLACING) {
        for start in JUST_PLACED {
            tell(start, &[(PLACED, &[a]), (SECOND, &[b])]);
            tell(start, &[(PLACED, &[a, b])]);
            tell(start, &[(PLACED, &[a]), (AT_THE_DEADLINE, &[b])]);
        }
    }
    stories.extend(with_the_customer());
    stories
}

/// What is asked of the customer meanwhile.
fn with_the_customer() -> Vec<Story> {
    let mut stories = Vec::new();
    let all: Vec<_> = Command::all().collect();
    for [a, b] in pairs_of(&all) {
        if [a, b].iter().any(|command| Command::OF_THE_CUSTOMER.contains(command)) {
            stories.push(Story::new(SETTLED[0], &[(FIRST, &[a]), (SECOND, &[b])]));
            stories.push(Story::new(UNDER_WAY[0], &[(FIRST, &[a]), (THIRD, &[b])]));
        }
    }
    stories
}

fn pairs_of(commands: &[Command]) -> impl Iterator<Item = [Command; 2]> {
    commands.iter().flat_map(|a| commands.iter().map(|b| [*a, *b]))
}

/// Every triple of commands from every situation, each at rest, a deadline passing after the second.
pub(super) fn triples() -> Vec<Story> {
    let mut stories = Vec::new();
    for [a, b] in pairs_of(Command::OF_THE_SALE) {
        for c in Command::OF_THE_SALE {
            for start in UNDER_WAY.iter().chain(SETTLED) {
                let gives = [(FIRST, &[a][..]), (SECOND, &[b]), (THIRD, &[*c])];
                stories.push(Story::new(*start, &gives));
            }
        }
    }
    stories
}

/// Stories of many commands, chosen by a seed.
pub(super) fn random(seed: u64, count: u64) -> Vec<Story> {
    let all: Vec<_> = Command::all().collect();
    let starts: Vec<_> = [UNDER_WAY, SETTLED, JUST_PLACED].concat();
    let beats = [PLACED, FIRST, SECOND, AT_THE_DEADLINE, THIRD, FOURTH];
    let mut stories = Vec::new();
    for number in 0..count {
        let mut random = Random::of(seed, number);
        let mut gives: Vec<(usize, Vec<Command>)> = Vec::new();
        for beat in beats {
            let commands = random.below(4).min(2);
            let commands = (0..commands).map(|_| *random.one_of(&all)).collect();
            gives.push((beat, commands));
        }
        let mut story = Story::new(*random.one_of(&starts), &[]);
        story.gives.extend(gives);
        stories.push(story);
    }
    stories
}
