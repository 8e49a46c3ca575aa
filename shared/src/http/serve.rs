//! Which platform is this? The same binary finds out at run time.

use super::{Route, local, mount};
use crate::{
    App,
    config::{Env, Platform},
    telemetry,
};

/// How a function's `main` ends.
pub type Exit = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Runs one route until the platform stops us. One thread: a function waits for others
/// nearly all of its life, and what does not wait (bcrypt) has threads of its own.
#[tokio::main(flavor = "current_thread")]
pub async fn serve(routes: Route) -> Exit {
    let env = Env::process();
    telemetry::init(&env, std::io::stdout);
    let platform = env.platform();
    // An instance lives as long as its process, so the app is leaked on purpose and handlers
    // share a plain reference.
    let app: &'static App = Box::leak(Box::new(App::new(env)));
    let bundle = mount(routes, app);
    match platform {
        #[cfg(feature = "vercel")]
        Platform::Vercel => super::vercel::run(bundle, app.env()).await,
        #[cfg(feature = "lambda")]
        Platform::Lambda => super::lambda::run(bundle, app.env()).await,
        Platform::Local => local::run(bundle, app.env()).await,
        #[cfg(not(all(feature = "vercel", feature = "lambda")))]
        _ => Err("this function was built without its platform's feature".into()),
    }
}
