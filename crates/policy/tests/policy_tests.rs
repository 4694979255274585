//! `opa test`, in the process.

use doorward_policy::{Outcome, Sources, run_tests};

use crate::asking::directory;

const POLICY: &str = "package authz\n\ndefault allow := false\n\nallow if {\n\tinput.method == \"GET\"\n\tprint(\"method\", input.method)\n}\n\nallow if input.never\n";

const TESTS: &str = "package authz_test\n\nimport data.authz\n\ntest_get if {\n\tauthz.allow with input as {\"method\": \"GET\"}\n}\n\ntest_put if {\n\tnot authz.allow with input as {\"method\": \"PUT\"}\n}\n\ntest_wrong if {\n\ttrue\n\tauthz.allow with input as {\"method\": \"PUT\"}\n\ttrue\n}\n\ntest_clash := 1 if true\n\ntest_clash := 2 if true\n\ntodo_test_later if false\n\ntest_mocked if {\n\tauthz.allow with data.authz.allow as true\n\tnow == 7 with time.now_ns as 7\n}\n\nnow := time.now_ns()\n";

#[test]
fn tests_run_as_opa_runs_them() {
    let directory = directory(&[("policy.rego", POLICY), ("policy_test.rego", TESTS)]);
    let sources = Sources::with_tests_from_paths(&[directory.path().to_owned()]).unwrap();
    let report = run_tests(&sources, None).unwrap();
    let of = |name: &str| {
        report.results.iter().find(|result| result.name.ends_with(name)).unwrap().clone()
    };
    assert_eq!(report.results.len(), 6);
    assert!(!report.is_success());
    assert_eq!(of("test_get").outcome, Outcome::Passed);
    assert!(of("test_get").printed.concat().ends_with("policy.rego:7: method GET"));
    assert_eq!(of("test_put").outcome, Outcome::Passed);
    assert_eq!(of("test_wrong").outcome, Outcome::Failed);
    assert_eq!((of("test_wrong").line, of("test_wrong").failed_at), (13, Some(15)));
    assert!(matches!(of("test_clash").outcome, Outcome::Error(text) if text.contains("conflicts")));
    assert_eq!(of("test_later").outcome, Outcome::Skipped);
    assert_eq!(of("test_mocked").outcome, Outcome::Passed);
    let [covered] = report.coverage.as_slice() else { panic!("{:?}", report.coverage) };
    assert!(covered.file.ends_with("policy.rego") && covered.covered.contains(&7));
    assert!(report.percent_covered() > 50.0);
    let some = run_tests(&sources, Some("put")).unwrap();
    assert_eq!(some.results.len(), 1);
    assert!(some.is_success());
}
