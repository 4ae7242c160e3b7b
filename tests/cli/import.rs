//! A statutory file that is imported again with changed rows.

use super::running::Router;

#[test]
fn a_row_that_says_something_else_than_what_is_known_is_named_by_line() {
    let router = Router::start();
    let file = router.path("missing.csv");
    let month_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(30 * 24);
    let day = month_ago.strftime("%d/%m/%Y").to_string();
    let first = ("M", 0, "1 new, 0 known already");
    let changed = ("A", 1, "line 2: known already with something else, which stands");
    for (grade, code, told) in [first, changed] {
        let rows = format!("CHILD,DOB,MISSING,MIS_START,MIS_END\nT1,01/02/2012,{grade},{day},\n");
        std::fs::write(&file, rows).expect("a file");
        router.operate(&["import", "ssda903", &file], code, &[told]);
    }
}
