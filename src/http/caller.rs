//! Who calls: the bearer token of a request, and what it may do.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::{header, request::Parts};

use super::Gateway;
use super::house::Answering;
use super::problem::Problem;
use super::share::{OverShare, TokenHash};
use crate::config::tokens::{Caller, hash_of};

/// A partner's unit, authenticated.
pub struct PartnerCaller {
    pub partner: String,
    pub unit: String,
    pub token: Presented,
}

/// An agency, or one unit of it, authenticated.
pub struct AgencyCaller {
    pub agency: String,
    /// None: the whole agency.
    pub unit: Option<String>,
    pub token: Presented,
}

/// The token of a request that is answered for long: it may be revoked, or bound otherwise, meanwhile.
#[derive(Clone)]
pub struct Presented {
    sha256: TokenHash,
    caller: Caller,
}

/// Whoever may answer: an agency its tasks, a partner's unit the feedback on its own events.
pub enum Answerer {
    Agency(AgencyCaller),
    Partner(PartnerCaller),
}

/// The operator, authenticated.
pub struct Operator {
    pub token: Presented,
}

impl AgencyCaller {
    /// Refuses the inbox of anyone else, whether it exists or not.
    pub fn must_be(&self, agency: &str) -> Result<(), Problem> {
        if self.agency == agency {
            Ok(())
        } else {
            let own = &self.agency;
            Err(self
                .token
                .is_not_for(&format!("Write {own} in the path, or use the token of the agency that is named there.")))
        }
    }
}

impl PartnerCaller {
    pub fn must_be(&self, partner: &str) -> Result<(), Problem> {
        if self.partner == partner {
            Ok(())
        } else {
            let own = &self.partner;
            Err(self
                .token
                .is_not_for(&format!("Write {own} in the path, or use the token of the partner that is named there.")))
        }
    }
}

impl Answerer {
    pub fn token(&self) -> &Presented {
        match self {
            Self::Agency(AgencyCaller { token, .. }) | Self::Partner(PartnerCaller { token, .. }) => token,
        }
    }
}

impl Presented {
    /// Whose share of what there is only so much it counts towards.
    pub fn hash(&self) -> TokenHash {
        self.sha256
    }

    /// Refuses what it may not do: what it is for, and what to use instead.
    fn is_not_for(&self, instead: &str) -> Problem {
        let holder = holder(&self.caller);
        let may = match &self.caller {
            Caller::Partner { .. } => "sends events, reads the feedback on them and challenges what became of them",
            Caller::Agency { .. } => "reads their tasks and answers them",
            Caller::Operator => "imports, publishes rule books and looks after the quarantine",
        };
        Problem::forbidden(format!("This token is that of {holder}: it {may}, and nothing else. {instead}"))
    }

    /// Refuses a large body beside as many others of this token's as there may be.
    pub fn too_many_large(&self, over: OverShare) -> Problem {
        let OverShare { most, is_to_be_told } = over;
        if is_to_be_told {
            let holder = holder(&self.caller);
            tracing::warn!(holder, most, "a token sends as many large bodies at once as one may: more are refused");
        }
        Problem::too_many_large(most)
    }

    /// Refuses a stream of a list that as many are open of as there may be.
    pub fn too_many_streams(&self, over: OverShare) -> Problem {
        let OverShare { most, is_to_be_told } = over;
        if is_to_be_told {
            let holder = holder(&self.caller);
            tracing::warn!(holder, most, "a list has as many streams open at once as it may: more are refused");
        }
        Problem::too_many_streams(most)
    }

    /// Refuses what would be refused if it were asked for now.
    pub fn still_stands(&self, gateway: &Gateway) -> Result<(), Problem> {
        if gateway.callers().tokens.caller_of(&self.sha256) != Some(&self.caller) {
            return Err(Problem::unauthenticated());
        }
        match &self.caller {
            Caller::Agency { agency, unit } => must_be_kept_apart(gateway, agency, unit.as_deref()),
            Caller::Partner { .. } | Caller::Operator => Ok(()),
        }
    }
}

fn caller(parts: &Parts, gateway: &Gateway) -> Result<Presented, Problem> {
    let header = parts.headers.get(header::AUTHORIZATION).ok_or_else(Problem::without_token)?;
    let (scheme, token) =
        header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(Problem::without_bearer)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Problem::without_bearer());
    }
    let sha256 = hash_of(token.trim());
    let caller = gateway.callers().tokens.caller_of(&sha256).cloned().ok_or_else(Problem::unauthenticated)?;
    if let Some(answering) = parts.extensions.get::<Arc<Answering>>() {
        answering.accept_token(sha256).map_err(|over| over_share(&caller, over))?;
    }
    Ok(Presented { sha256, caller })
}

fn over_share(caller: &Caller, over: OverShare) -> Problem {
    let OverShare { most, is_to_be_told } = over;
    if is_to_be_told {
        let holder = holder(caller);
        tracing::warn!(holder, most, "a token has as many requests open at once as one may: more are refused");
    }
    Problem::too_many_requests(most)
}

/// For the log, and for who shows it: never the token.
fn holder(caller: &Caller) -> String {
    match caller {
        Caller::Partner { partner, unit } => format!("partner {partner}, unit {unit}"),
        Caller::Agency { agency, unit: None } => format!("agency {agency}"),
        Caller::Agency { agency, unit: Some(unit) } => format!("agency {agency}, unit {unit}"),
        Caller::Operator => "the operator".to_owned(),
    }
}

impl FromRequestParts<Arc<Gateway>> for PartnerCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        let token = caller(parts, gateway)?;
        match token.caller.clone() {
            Caller::Partner { partner, unit } => Ok(Self { partner, unit, token }),
            Caller::Agency { .. } | Caller::Operator => {
                Err(token.is_not_for("Use the token of the partner's unit that sends the events."))
            }
        }
    }
}

impl FromRequestParts<Arc<Gateway>> for AgencyCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        let token = caller(parts, gateway)?;
        match token.caller.clone() {
            Caller::Agency { agency, unit } => agency_caller(gateway, agency, unit, token),
            Caller::Partner { .. } | Caller::Operator => {
                Err(token.is_not_for("Use the token of the agency, or of its unit, whose tasks these are."))
            }
        }
    }
}

fn agency_caller(
    gateway: &Gateway,
    agency: String,
    unit: Option<String>,
    token: Presented,
) -> Result<AgencyCaller, Problem> {
    must_be_kept_apart(gateway, &agency, unit.as_deref())?;
    let unit = unit.map(|unit| {
        let callers = gateway.callers();
        callers.agencies.unit_listed(&agency, &unit).map_or_else(|| unit.clone(), str::to_owned)
    });
    Ok(AgencyCaller { agency, unit, token })
}

/// Refuses the token of a whole agency whose units may not read one another's tasks.
fn must_be_kept_apart(gateway: &Gateway, agency: &str, unit: Option<&str>) -> Result<(), Problem> {
    let agencies = &gateway.callers().agencies;
    if agencies.names.is_empty() {
        // Which of them have units that must not see one another's is not known yet.
        return Err(Problem::not_ready(&gateway.readiness.why_not()));
    }
    if unit.is_none() && agencies.of_many_units.contains(agency) {
        return Err(Problem::forbidden(format!(
            "{agency} has many units, of which none may read another's tasks, and this token is for no unit. Use a unit's token: the router's \
             operator gives it, with `unit` in its table of tokens.toml."
        )));
    }
    Ok(())
}

impl FromRequestParts<Arc<Gateway>> for Answerer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        let token = caller(parts, gateway)?;
        match token.caller.clone() {
            Caller::Agency { agency, unit } => agency_caller(gateway, agency, unit, token).map(Self::Agency),
            Caller::Partner { partner, unit } => Ok(Self::Partner(PartnerCaller { partner, unit, token })),
            Caller::Operator => Err(token.is_not_for(
                "Use the token of the agency, or of its unit, whose task it is; to disagree, that of the partner's unit that sent the event.",
            )),
        }
    }
}

impl FromRequestParts<Arc<Gateway>> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        let token = caller(parts, gateway)?;
        match token.caller {
            Caller::Operator => Ok(Self { token }),
            Caller::Partner { .. } | Caller::Agency { .. } => Err(token.is_not_for("Use the operator's token.")),
        }
    }
}
