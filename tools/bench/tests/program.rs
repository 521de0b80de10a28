//! The program as it is called: what it refuses, and what it says then.

use std::fs;
use std::process::Command;

#[test]
fn a_plan_that_cannot_be_carried_out_is_refused_and_its_password_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan.json");
    let url = "postgres://user:s3cret@db.example/audit";
    let plan_with = |more: &str| {
        format!(
            r#"{{"mode": "smoke", "out": "{}", "pgbench": "p",
                "databases": [{{"purpose": "all", "incidents": 1, "url": "{url}"}}]{more}}}"#,
            folder.path().display()
        )
    };
    let service = r#", "service": {"url": "http://127.0.0.1:1"}"#;
    for (text, reason) in [
        ("{", "plan"),
        (&plan_with(""), "a host to start or a service"),
        (&plan_with(r#", "unheard": 1"#), "unheard"),
        // Loads are sent to this machine only.
        (&plan_with(service), "not this machine"),
    ] {
        fs::write(&plan, text).unwrap();
        let mut bench = Command::new(env!("CARGO_BIN_EXE_bench"));
        bench.args(["report", "--plan"]).arg(&plan);
        let output = bench.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{text}");
        assert!(said.contains(reason), "{said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
}
