//! A denied call, as a person sees it: by which rule, as it is written, and what would have let it pass.

use std::path::Path;

use tokio::process::Command;

use crate::demo::Demo;
use crate::webdriver::Browser;
use crate::{picture, skipped, told};

const AGENT: &str = "apiVersion: agent.os/v1
kind: Agent
metadata: {name: reminder, owner: finance-platform}
spec:
  instructions: Draft one reminder for each overdue invoice that you are told of.
  model: {provider: anthropic, name: claude-haiku-4-5}
  tools:
    - mcp://gateway/sap-invoice-read
    - {use: mcp://gateway/email-draft, when: \"args.to.endsWith('@acme.example')\"}
";

async fn run(dir: &Path, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ostler"));
    let said = command.args(arguments).arg("--data").arg(dir).output().await.unwrap();
    assert!(said.status.success(), "{arguments:?}: {said:?}");
}

#[tokio::test]
async fn a_denied_call_is_explained_by_its_rule_and_by_what_would_have_passed() {
    let name = "a_denied_call_is_explained_by_its_rule_and_by_what_would_have_passed";
    let (Some(chromium), Some(driver)) = (told("OSTLER_TEST_CHROMIUM"), told("OSTLER_TEST_CHROMEDRIVER")) else {
        return skipped(name, "OSTLER_TEST_CHROMIUM or OSTLER_TEST_CHROMEDRIVER is not set");
    };
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("data");
    let mut demo = Demo::start(&dir).await;
    let sign_in = demo.sign_in().await;
    let file = place.path().join("reminder.yaml");
    std::fs::write(&file, AGENT).unwrap();
    run(&dir, &["apply", "-f", file.to_str().unwrap()]).await;
    run(&dir, &["run", "reminder", "Remind globex of INV-2034.", "--session", "globex-october"]).await;

    let browser = Browser::start(&driver, &chromium).await;
    browser.open(&sign_in).await;
    browser.click("//button[text()='Sign in']").await;
    browser.click("//header//a[text()='Sessions']").await;
    browser.click("//a[text()='globex-october']").await;
    browser.see("//p[@class='refused'][contains(., 'may use email-draft only when')]").await;
    browser.click("//div[.//p[@class='refused']]/div[@class='meta']/a[contains(., 'explain call')]").await;
    browser.see("//section//strong[text()='tool-when.email-draft']").await;
    browser.see("//section//pre[contains(., 'context.input.to like')]").await;
    browser.see("//section//li[contains(., 'is true')]").await;
    picture(&browser, "console-denial.png").await;
    browser.stop().await;
    demo.stop().await;
}
