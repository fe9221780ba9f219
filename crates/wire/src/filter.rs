//! Filters of reads and subscriptions of `$all`.

use fancy_regex::{Regex, RegexBuilder};
use kernel::event::RecordedEvent;

use crate::protocol::streams::read_req::options::FilterOptions;
use crate::protocol::streams::read_req::options::filter_options::{
    Expression, Filter as Given, Window,
};
use crate::refusal::Refusal;

/// Maximum backtracking steps of a regular expression; names are short.
const MOST_BACKTRACKING: usize = 10_000;
const LONGEST_EXPRESSION: usize = 4 * 1024;
const MOST_PREFIXES: usize = 1_000;

/// The field of an event that the filter tests.
#[derive(Debug)]
enum Subject {
    Stream,
    Type,
}

#[derive(Debug)]
enum Pattern {
    Prefixes(Vec<String>),
    Expression(Box<Regex>),
}

/// A filter of events.
#[derive(Debug)]
pub(crate) struct Filter {
    subject: Subject,
    pattern: Pattern,
    /// The number of examined events after which a subscriber gets a checkpoint.
    pub(crate) checkpoint_every: u64,
}

impl Filter {
    /// Reads a client's filter.
    pub(crate) fn new(options: FilterOptions) -> Result<Self, Refusal> {
        let (subject, expression) = match options.filter {
            Some(Given::StreamIdentifier(expression)) => (Subject::Stream, expression),
            Some(Given::EventType(expression)) => (Subject::Type, expression),
            None => {
                let problem = "a filter must test the stream's name or the event's type";
                return Err(Refusal::Invalid(problem.to_owned()));
            }
        };
        let window = match options.window {
            Some(Window::Max(max)) => max,
            Some(Window::Count(_)) | None => 1,
        };
        let multiplier = options.checkpoint_interval_multiplier.max(1);
        let checkpoint_every = u64::from(window.max(1)) * u64::from(multiplier);
        Ok(Self { subject, pattern: pattern(expression)?, checkpoint_every })
    }

    /// Returns whether an event passes the filter.
    pub(crate) fn wants(&self, event: &RecordedEvent) -> Result<bool, Refusal> {
        let name = match self.subject {
            Subject::Stream => event.stream.as_str(),
            Subject::Type => event.event_type.as_str(),
        };
        match &self.pattern {
            Pattern::Prefixes(prefixes) => {
                Ok(prefixes.iter().any(|prefix| name.starts_with(prefix.as_str())))
            }
            Pattern::Expression(expression) => expression.is_match(name).map_err(|error| {
                Refusal::Invalid(format!("the filter's regular expression takes too long: {error}"))
            }),
        }
    }
}

fn pattern(given: Expression) -> Result<Pattern, Refusal> {
    if given.prefix.len() > MOST_PREFIXES {
        return Err(Refusal::Invalid(format!("a filter has at most {MOST_PREFIXES} prefixes")));
    }
    if !given.prefix.is_empty() {
        return Ok(Pattern::Prefixes(given.prefix));
    }
    if given.regex.len() > LONGEST_EXPRESSION {
        let problem =
            format!("a filter's regular expression has at most {LONGEST_EXPRESSION} bytes");
        return Err(Refusal::Invalid(problem));
    }
    RegexBuilder::new(&given.regex)
        .backtrack_limit(MOST_BACKTRACKING)
        .build()
        .map(|expression| Pattern::Expression(Box::new(expression)))
        .map_err(|error| {
            Refusal::Invalid(format!("the filter's regular expression is not valid: {error}"))
        })
}
