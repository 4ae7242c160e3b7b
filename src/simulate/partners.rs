//! Who sends: the partners of the made-up partnership and their units.

use rand::RngExt;
use rand::seq::IndexedRandom;

/// A partner system that may publish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Partner {
    pub name: &'static str,
    /// Its own agency in the rule book, if it is one.
    pub agency: Option<&'static str>,
    pub units: &'static [&'static str],
}

/// Made-up schools; no such numbers are given out.
pub const SCHOOL_URNS: &[&str] = &[
    "990001", "990002", "990003", "990004", "990005", "990006", "990007", "990008", "990009", "990010", "990011",
    "990012",
];

/// Made-up practices.
pub const PRACTICE_CODES: &[&str] = &["Z99001", "Z99002", "Z99003", "Z99004", "Z99005", "Z99006"];

pub const LOCALITIES: &[&str] = &["crewe", "macclesfield", "congleton", "nantwich", "wilmslow", "knutsford"];

pub const POLICE: Partner =
    Partner { name: "police", agency: Some("police"), units: &["control-room", "protecting-vulnerable-people"] };
pub const HOSPITAL: Partner =
    Partner { name: "leighton-hospital", agency: None, units: &["emergency-department", "paediatrics"] };
pub const SCHOOLS: Partner = Partner { name: "schools", agency: Some("school"), units: SCHOOL_URNS };
pub const PRACTICES: Partner = Partner { name: "gp", agency: Some("gp"), units: PRACTICE_CODES };
pub const COUNCIL: Partner =
    Partner { name: "council", agency: Some("social-care"), units: &["case-system", "front-door"] };
pub const EDUCATION: Partner = Partner { name: "education-welfare", agency: Some("education"), units: &["attendance"] };
pub const CAMHS: Partner = Partner { name: "camhs", agency: Some("camhs"), units: &["crisis-team"] };
pub const MIDWIFERY: Partner = Partner { name: "midwifery", agency: Some("midwifery"), units: &["community-team"] };
pub const INTERVIEWS: Partner =
    Partner { name: "return-interviews", agency: Some("voluntary"), units: &["interviews"] };

/// Every partner, in a stable order.
pub const PARTNERS: &[Partner] =
    &[POLICE, HOSPITAL, SCHOOLS, PRACTICES, COUNCIL, EDUCATION, CAMHS, MIDWIFERY, INTERVIEWS];

impl Partner {
    /// One of its units; a school or practice only by chance that of the child.
    pub fn unit(&self, rng: &mut impl RngExt) -> String {
        self.units.choose(rng).copied().unwrap_or("main").to_owned()
    }

    /// The role and number of whoever is to be rung back.
    pub fn practitioner(&self, rng: &mut impl RngExt) -> (&'static str, String) {
        let role = match self.name {
            "police" => "Police sergeant",
            "leighton-hospital" => "Nurse in charge",
            "schools" => "Designated safeguarding lead",
            "gp" => "Practice safeguarding lead",
            "council" => "Duty social worker",
            "education-welfare" => "Education welfare officer",
            "camhs" => "Crisis practitioner",
            "midwifery" => "Named midwife",
            _ => "Return interviewer",
        };
        // 01632 960000 to 960999 are set aside for drama.
        (role, format!("01632 960{:03}", rng.random_range(0..1000)))
    }
}
