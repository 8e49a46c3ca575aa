//! `lectern user`: what an owner does to an account by hand.
#![expect(clippy::print_stdout, reason = "a command line tool speaks on its output")]

use std::io;

use clap::Subcommand;
use console::Term;
use shared::{auth::users, config::Env, db::Pool};

use crate::Outcome;

/// The arguments of `lectern user`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Give an account another password, asked for on the terminal or read from the input.
    SetPassword {
        /// The account's address.
        email: String,
    },
}

/// Does what `args` says to the database of `DATABASE_URL`.
pub async fn run(args: Args, env: Env) -> Outcome {
    let Action::SetPassword { email } = args.action;
    let db = Pool::from_env(&env)?;
    let term = Term::stderr();
    let password = if io::IsTerminal::is_terminal(&io::stdin()) && term.is_term() {
        ask(&term)?
    } else {
        first_line(io::stdin().lock())?
    };
    users::set_password(&env, &db, &email, password).await?;
    println!("The password is changed. Tokens made before stay valid until they expire.");
    Ok(())
}

/// Twice, because what is not shown is easily mistyped. An argument would stand in the
/// shell's history and in the list of processes.
fn ask(term: &Term) -> io::Result<String> {
    term.write_str("New password: ")?;
    let password = term.read_secure_line()?;
    term.write_str("Once more: ")?;
    if term.read_secure_line()? == password {
        Ok(password)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "the two passwords differ"))
    }
}

/// The first line, without its end and nothing else taken away.
fn first_line(mut input: impl io::BufRead) -> io::Result<String> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let text = line.strip_suffix('\n').unwrap_or(&line);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piped_password_loses_only_the_end_of_its_line() {
        let read = |input: &str| first_line(input.as_bytes()).unwrap();
        assert_eq!(read(" with spaces \nsecond line\n"), " with spaces ");
        assert_eq!(read("windows\r\n"), "windows");
        assert_eq!(read("no end"), "no end");
        assert_eq!(read(""), "");
    }
}
