//! The `.env` file. Only this command reads it; functions get real variables.

use shared::config::Env;

use crate::Outcome;

/// The process's environment, filled up from `.env` in the working directory. A variable
/// that is set already wins.
pub fn load() -> Outcome<Env> {
    let mut env = Env::process();
    let lines = match dotenvy::from_path_iter(".env") {
        Ok(lines) => lines,
        Err(err) if err.not_found() => return Ok(env),
        Err(err) => return Err(format!(".env cannot be read: {}", place(&err)).into()),
    };
    for line in lines {
        let (name, value) = line.map_err(|err| format!(".env: {}", place(&err)))?;
        env = env.or(&name, &value);
    }
    Ok(env)
}

/// What is wrong, by the name that the line gives and never by its value: it may be a key.
fn place(err: &dotenvy::Error) -> String {
    match err {
        dotenvy::Error::LineParse(line, _) => {
            let name: String = line
                .trim_start()
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            format!(
                "the line of {name:?} is not NAME=value; a value with spaces needs quotes"
            )
        }
        dotenvy::Error::Io(err) => err.to_string(),
        _ => "a line is not NAME=value".to_owned(),
    }
}
