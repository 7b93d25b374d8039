//! Ending and starting the tests' own PostgreSQL server while it is used. Included by path where it is needed.

use std::process::Stdio;

use crate::postgres::{Cluster, command, settings};

impl Cluster {
    /// Stops the server as its administrator would in a hurry, and starts it again on the same port. Connections end.
    pub(crate) fn restart(&self, between: impl FnOnce()) {
        let control = |arguments: &[&str]| {
            let mut run = command(self.run_as, &self.bin.join("pg_ctl"));
            run.arg("-D").arg(self.home.join("data")).args(arguments).current_dir(&self.home);
            run.stdout(Stdio::null()).status().expect("pg_ctl runs")
        };
        assert!(control(&["stop", "-w", "-m", "immediate"]).success());
        between();
        let options = settings(&self.home, self.port).join(" ");
        let log = self.home.join("restarted.log").display().to_string();
        assert!(control(&["start", "-w", "-l", &log, "-o", &options]).success());
    }
}
