use crate::config::tests::load;

#[test]
fn an_owner_that_is_no_account_id_stops_the_start_with_the_likely_cause() {
    for (value, cause) in [
        ("your-account-id", "a placeholder"),
        ("${OWNER}", "a placeholder"),
        ("1.269128356620446e+15", "Helm"),
        ("1.269128356620446e15", "Helm"),
        ("[1.269128356620446e+15]", "float notation"),
        ("[\"1269128356620446\", \"1.269128356620446E+15\"]", "Helm"),
        ("2;1269128356620446", "';' separates nothing"),
        ("[\"2;1269128356620446\"]", "an entry for each"),
        ("[\"2 1269128356620446\"]", "an entry for each"),
        ("1269128356620446\u{ff0c}2", "a full-width comma"),
        ("[\"1269128356620446\u{ff0c}2\"]", "a full-width comma"),
        ("1269128356620446\u{3001}2", "a full-width comma"),
        ("me@example.com", "an e-mail address"),
        ("acs:ram::1269128356620446:root", "an ARN"),
        ("\u{ff11}\u{ff12}", "other digits"),
        ("\"1\",\"2\"", "quotes"),
        ("-5", "without a sign"),
        ("+1", "without a sign"),
        ("1_000", "without a sign or underscores"),
        ("LTAI5tExample", "the id of an AccessKey"),
        ("true", "account id"),
    ] {
        let error = load(&[("MNS_ENDPOINT_ACCEPT__TOPIC_OWNERS", value)], &[]).unwrap_err();
        assert!(error.starts_with("accept.topic_owners"), "{error}");
        assert!(error.contains(cause), "{error:?} has no {cause:?}");
    }
}
