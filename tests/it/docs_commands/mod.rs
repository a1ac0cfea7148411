//! Every command of README and the docs is run as it is printed, or named with the reason why not.

mod checks;
mod elsewhere;
mod pages;
mod played;
mod stage;
