//! The fields of the states of `Sync…` commands, derived from the schemas of the types that read them.

use std::path::Path;

use anyhow::Context as _;
use kernel::sync::StatedCommand;
use serde_json::{Map, Value};

use super::asked::{Commands, Fields};
use crate::values::output;

const GENERATED: &str = "<!-- Written by `make generate` from the code. Do not edit. -->";

const INTRODUCTION: &str = "The fields of the states that the programs of a [mapping](../mapping.md) return. \
`bascule mapping fields` prints the same list on a terminal; [`openapi/sync`](../../openapi/sync) has it as \
JSON Schemas.

A field that is left out keeps its value in bascule; null clears it. A *required* field must be present in \
the first state of an aggregate; later it may be left out, but is never null. Unknown fields are refused. \
Decimals are strings such as `\"119.60\"` or numbers; ids come from `uid(…)`. A *personal* field is encrypted \
with the key of the person, and `bascule mapping try` shows it only with `--personal`.";

/// Prints the fields of one command or of all commands.
pub(super) fn tell(commands: &Commands, asked: &Fields) -> anyhow::Result<()> {
    let commands = match &asked.command {
        Some(name) => vec![commands.named(name)?],
        None => commands.0.clone(),
    };
    if asked.json {
        let schema = match (&asked.command, commands.as_slice()) {
            (Some(_), [command]) => command.schema(),
            (_, commands) => {
                let named = commands.iter().map(|one| (one.name.to_owned(), one.schema()));
                Value::Object(named.collect::<Map<_, _>>())
            }
        };
        return output::line(serde_json::to_string_pretty(&schema)?);
    }
    for (index, command) in commands.iter().enumerate() {
        if index > 0 {
            output::line("")?;
        }
        output::line(command.name)?;
        for field in command.fields() {
            let mut notes = vec![field.kind.clone()];
            notes.extend(field.required.then(|| "required".to_owned()));
            notes.extend((!field.nullable).then(|| "never null".to_owned()));
            notes.extend(field.personal.then(|| "personal".to_owned()));
            output::line(format_args!("  {} ({})", field.path, notes.join(", ")))?;
            output::line(format_args!("      {}", field.meaning))?;
            output::line(format_args!("      such as {}", field.example))?;
        }
    }
    Ok(())
}

/// Writes the page and the schemas.
pub(super) fn export(
    Commands(commands): &Commands,
    folder: &Path,
    page: &Path,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot write {}", folder.display()))?;
    let write = |file: &Path, text: String| {
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
        output::line(format_args!("wrote {}", file.display()))
    };
    for command in commands {
        let file = folder.join(format!("{}.schema.json", command.name));
        write(&file, format!("{}\n", serde_json::to_string_pretty(&command.schema())?))?;
    }
    write(page, text_of_page(commands)?)
}

fn text_of_page(commands: &[StatedCommand]) -> anyhow::Result<String> {
    let mut parts = vec![
        GENERATED.to_owned(),
        "# Fields of imported states".to_owned(),
        INTRODUCTION.to_owned(),
    ];
    for command in commands {
        parts.push(format!("## {}", command.name));
        let rows = command.fields().into_iter().map(|field| {
            let presence = match (field.required, field.nullable) {
                (true, _) => "required",
                (false, true) => "",
                (false, false) => "never null",
            };
            let meaning = match field.personal {
                true => format!("{} *Personal.*", field.meaning),
                false => field.meaning,
            };
            format!(
                "| `{}` | {} | {presence} | {meaning} | `{}` |",
                field.path, field.kind, field.example
            )
        });
        let head = "| field | type | | meaning | such as |\n|---|---|---|---|---|".to_owned();
        parts.push(std::iter::once(head).chain(rows).collect::<Vec<_>>().join("\n"));
        let example = serde_json::to_string_pretty(&command.example())?;
        parts.push(format!("Complete example:\n\n```json\n{example}\n```"));
    }
    Ok(format!("{}\n", parts.join("\n\n")))
}
