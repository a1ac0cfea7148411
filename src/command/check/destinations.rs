//! The findings of `check` about destinations: what can be seen without a request to them.

use crate::command::check::findings::{Finding, Findings};
use crate::config::Config;
use crate::forward::{Destination, look_at_http};

impl Findings {
    pub(super) fn look_at_destinations(&mut self, config: &Config) {
        for settings in &config.forward {
            let Destination::Http(options) = &settings.destination else {
                continue;
            };
            for seen in look_at_http(&settings.name, options) {
                self.0.push(Finding::observed(&settings.name, seen));
            }
        }
    }
}
