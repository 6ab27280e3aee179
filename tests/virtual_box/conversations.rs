//! Conversations as customers have them.

use super::harness::*;

const JANE: &str = "+12065550142";

#[tokio::test]
async fn a_first_text_is_answered_with_the_main_menu() {
    let mut b = VirtualBox::one_shop().await;
    b.knows(JANE);
    b.text(JANE, "Hello").await;
    let menu = b.one(JANE);
    assert!(menu.contains("Shop main"), "{menu}");
    assert!(menu.contains("1. Troubleshoot Equipment"), "{menu}");
    b.text(JANE, "2").await;
    println!("{:#?}", b.heard(JANE));
}
