//! `scotoma man`: a manual page for each command.

use std::path::PathBuf;

use clap::Args;
use clap_mangen::Man;

use super::error::Failure;
use super::{examples, files};

/// Flags of `man`.
#[derive(Debug, Args)]
pub(super) struct WriteManual {
    /// Folder to write scotoma.1 and scotoma-COMMAND.1 to
    #[arg(short, long, value_name = "FOLDER")]
    out: PathBuf,
}

impl WriteManual {
    /// Writes the pages of `program` and its commands.
    pub(super) fn run(&self, program: clap::Command) -> Result<(), Failure> {
        files::create_folder(&self.out)?;
        // `help` has nothing that the pages do not have.
        let mut program = program.disable_help_subcommand(true);
        // Only then have the commands within their full names and the flags of all commands.
        program.build();
        self.write(&program, &[])
    }

    /// Writes the page of a command, which stands at `path`, and those of the commands within it.
    fn write(&self, command: &clap::Command, path: &[&str]) -> Result<(), Failure> {
        let name = [&["scotoma"], path].concat().join("-");
        let file = self.out.join(format!("{name}.1"));
        files::write(&file, &page(command.clone(), &path.join(" "))?)?;
        println!("{}", file.display());
        for inner in command.get_subcommands() {
            self.write(inner, &[path, &[inner.get_name()]].concat())?;
        }
        Ok(())
    }
}

/// Renders the page of a command.
fn page(command: clap::Command, path: &str) -> Result<Vec<u8>, Failure> {
    let has_commands = command.has_subcommands();
    let man = Man::new(command);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_commands {
        man.render_subcommands_section(&mut page)?;
    }
    // Not by the crate, which fills the lines of examples to paragraphs.
    page.extend(examples_section(path).into_bytes());
    Ok(page)
}

fn examples_section(path: &str) -> String {
    let mut section = ".SH EXAMPLES\n".to_owned();
    for (about, line) in examples::of(path) {
        section.extend([
            ".TP\n",
            &escaped(about),
            "\n.nf\n",
            &escaped(line),
            "\n.fi\n",
        ]);
    }
    section
}

/// Escapes what roff takes for its own.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    // At the beginning of a line these begin a request.
    if text.starts_with(['.', '\'']) {
        format!("\\&{text}")
    } else {
        text
    }
}
