//! Writing the task out: what the recipient may see, why, on which basis, and where to answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;

use super::held_back::HELD_BACK_ACTION;
use super::route::{Address, suppressions};
use super::standing::Standing;
use super::voice::voice_missing;
use super::{
    Asked, Counted, Deadline, HELD_BACK_RULE, READDRESSED_RULE, Raised, Raising, Relation, Wanted, Why,
    other_address_id,
};
use crate::engine::calendar::{Clock, instant_in_words, london_date};
use crate::engine::context::StepError;
use crate::engine::disclose::{Disclosed, Permit};
use crate::engine::history::entry::AN_ADDRESS;
use crate::engine::history::{TOLD, death, episodes};
use crate::engine::ids::derived;
use crate::engine::model::decision::{Disclosure, Suppressed};
use crate::engine::model::history::{Entry, HeldTask};
use crate::engine::model::task::{Basis, Reason, Task};
use crate::engine::rules::book::may_see_all;
use crate::engine::seal::ReplyTo;

const PERSON_ACTION: &str = "Decide who must not learn of this, and tell those who act";

/// A held-back route, as it is put to the front door.
pub(super) struct Question {
    pub(super) words: String,
    /// A sender's wish is among its reasons.
    pub(super) is_of_wish: bool,
    pub(super) due: Deadline,
    pub(super) entry: Arc<Entry>,
}

impl<'b> Raising<'b> {
    /// Builds every task whose route is open, records the routes that are not, and puts each of those to the front
    /// door: to a task it is given anyway, else to one of its own.
    pub(super) fn send(&self, asked: Vec<Asked<'b>>) -> Result<Raised, StepError> {
        let front_door = &self.book.rules.front_door;
        let mut raised = Raised::default();
        // What is asked beside is about those who are asked something.
        if asked.is_empty() {
            return Ok(raised);
        }
        let mut open = Vec::new();
        let (mut questions, mut overtaken, mut put) = (Vec::new(), Vec::new(), BTreeSet::new());
        let put_to_them: Vec<Arc<Entry>> = asked
            .iter()
            .filter(|task| self.decides(&task.address.agency) && task.meant_for.is_some())
            .map(|task| Arc::clone(&task.entry))
            .collect();
        for mut task in asked {
            self.instead_of_dropped(&mut task);
            let is_put_to_them = || put_to_them.iter().any(|entry| entry.is_same_event(&task.entry));
            // Nothing was sent straight to anybody.
            if task.relation == Relation::Digest
                && (is_put_to_them() || death::is_known(self.history, &task.entry, self.at))
            {
                continue;
            }
            if self.is_after_death(&task) {
                let suppressed = self.not_sent(&task, "the child has died");
                overtaken.push(Question {
                    words: self.overtaken(&suppressed),
                    is_of_wish: false,
                    due: task.due.clone(),
                    entry: Arc::clone(&task.entry),
                });
                raised.suppressed.push(suppressed);
                continue;
            }
            let routes = suppressions(&task.address, front_door, self.held_back());
            if routes.is_empty() {
                open.push(task);
                continue;
            }
            let Some(held) = self.hold_back(task, &routes, &mut open) else { continue };
            put.extend(routes.iter().copied().cloned());
            questions.push(held.question);
            raised.suppressed.push(held.suppressed);
        }
        self.ask_front_door(questions, &mut open)?;
        raised.ring = self.say_what_is_held_back(&put, &mut open)?;
        self.say_who_is_at_work(&mut open);
        self.ask_after_death(overtaken, &mut open)?;
        self.ask_about_persons(&mut open)?;
        self.ask_how_to_ask(&mut open)?;
        let mut standing = Standing::default();
        for task in open {
            self.build(task, &mut standing, &mut raised);
        }
        Ok(raised)
    }

    pub(super) fn not_sent(&self, task: &Asked<'_>, reason: &str) -> Suppressed {
        let address = &task.address;
        let (agency, unit) = match &address.in_place_of {
            Some(meant_for) => (meant_for.clone(), None),
            None => (address.agency.clone(), address.unit.clone()),
        };
        Suppressed {
            agency,
            unit,
            action: task.action.clone(),
            rules: task.reasons.iter().map(|(rule, _, _)| rule.clone()).collect(),
            reason: reason.to_owned(),
        }
    }

    /// Puts held-back routes to whoever decides: on the front door's own decision (its latest task) where that is due no
    /// later than what was held back, and what was held back can wait; else on a task of its own, due no later.
    fn ask_front_door(&self, questions: Vec<Question>, open: &mut Vec<Asked<'b>>) -> Result<(), StepError> {
        let front_door = self.who_decides() == &self.book.rules.front_door;
        // What a stand-in is asked of its own is no decision about the case; and somebody senior of the accused one's own agency has none.
        let own = |task: &&mut Asked<'b>| {
            let at_front_door = self.decides(&task.address.agency) && task.address.in_place_of.is_none();
            front_door && at_front_door && task.relation.wants_answer()
        };
        let mut decision = open.iter_mut().filter(own).max_by_key(|task| task.due.at);
        let mut apart = Vec::new();
        for question in questions {
            match decision.as_mut().filter(|task| !question.due.urgent && task.due.at <= question.due.at) {
                Some(task) => task.notes.push(question.words),
                None => apart.push(question),
            }
        }
        let Some(soonest) = apart.iter().min_by_key(|question| question.due.at) else { return Ok(()) };
        let (due, entry) = (self.no_later_than(&soonest.due)?, Arc::clone(&soonest.entry));
        open.push(self.about_held_back(due, &entry, apart));
        Ok(())
    }

    /// The clock of a question about what others are asked: a working day, and no later than theirs.
    pub(super) fn no_later_than(&self, theirs: &Deadline) -> Result<Deadline, StepError> {
        let usual = self.deadline_from_now(&Clock::WorkingDays(1))?;
        if theirs.at >= usual.at {
            return Ok(usual);
        }
        let urgent = theirs.urgent || !self.office_opens_before(theirs.at);
        let words = "when what it is about would have been due".to_owned();
        Ok(Deadline { words, urgent, at_session: false, assumed: false, ..theirs.clone() })
    }

    pub(super) fn about_held_back(&self, due: Deadline, entry: &Arc<Entry>, questions: Vec<Question>) -> Asked<'b> {
        let why = if questions.iter().any(|question| question.is_of_wish) {
            "A route the rules name was held back; a wish alone does not settle whether to share."
        } else {
            "A route the rules name was held back: someone who works there is accused, or may be."
        };
        let why = why.to_owned();
        let title = "A route was held back";
        let wanted: Wanted<'b> = self.own_duty(HELD_BACK_RULE, title, why, HELD_BACK_ACTION, due, entry);
        let mut own: Asked<'b> = wanted.into();
        own.notes.extend(questions.into_iter().map(|question| question.words));
        own
    }

    fn build(&self, asked: Asked<'b>, standing: &mut Standing<'b>, raised: &mut Raised) {
        let Some(agency) = self.book.rules.agencies.get(&asked.address.agency) else { return };
        let address_confidential = self.held_back().iter().any(|route| route.agency == AN_ADDRESS);
        let permit = Permit { agency, minimum: asked.minimum, address_confidential };
        let withheld = self.referral.map(|referral| permit.withheld(&referral.event)).unwrap_or_default();
        let mut disclosed = self.disclose(&asked, permit, standing);
        withheld.mask(&mut disclosed);
        let task_id = self.unused(self.task_id(&asked), raised);
        let level = asked.level.filter(|_| permit.allows("level"));
        let mut fields = disclosed.fields;
        if level.is_some() {
            fields.push("level".into());
        }
        if permit.allows("call_back")
            && asked.reasons.iter().any(|(_, _, why)| matches!(why, Some(Why::Numbers { .. })))
        {
            fields.push("call_back".into());
        }
        fields.sort();
        fields.dedup();
        let bases = self.bases(&asked.bases);
        raised.disclosures.push(Disclosure {
            agency: asked.address.agency.clone(),
            unit: asked.address.unit.clone(),
            task_id: task_id.clone(),
            fields,
            bases: bases.iter().map(|basis| basis.letter.clone()).collect(),
        });
        if !matches!(asked.relation, Relation::Word(_)) {
            raised.held.push(self.held_task(&asked, &task_id));
        }
        let mut notes = self.notes(&asked, permit);
        withheld.mask_all(notes.iter_mut());
        let mut reasons = self.reasons(&asked, permit);
        withheld.mask_all(reasons.iter_mut().map(|reason| &mut reason.why));
        raised.tasks.push(Task {
            reply_to: self.reply_to(&task_id, &asked),
            other_reply_to: self.other_reply_to(&task_id, &asked),
            kind: asked.relation.kind().map(str::to_owned),
            follows_also: asked.relation.followed_also(),
            task_id,
            agency: asked.address.agency.clone(),
            unit: asked.address.unit.clone(),
            role: asked.address.role.clone(),
            level,
            level_is_proposed: true,
            due_at: asked.due.at,
            due_reason: due_in_words(&asked),
            late_on_arrival: asked.due.late,
            acknowledge_by: asked.acknowledge_by,
            reasons,
            bases,
            needs_agreement: asked.needs_agreement,
            child: disclosed.child,
            // The later of two of one name.
            facts: disclosed.facts.into_iter().collect(),
            narrative: disclosed.narrative,
            voice_of_child: disclosed.voice_of_child,
            carers: disclosed.carers,
            call_back: disclosed.call_back,
            partner_reference: disclosed.partner_reference,
            follows: self.follows(&asked),
            notes,
            raised_at: self.at,
            action: asked.action,
        });
    }

    /// Whether this very thing was asked before for this very cause, of whoever was on duty then.
    pub fn was_given(&self, wanted: &Wanted<'_>) -> bool {
        let is_same = |held: &Arc<HeldTask>| {
            let address = Address { agency: held.agency.clone(), unit: held.unit.clone(), ..wanted.address.clone() };
            let address = Address { role: held.role.clone(), ..address };
            held.task_id == self.task_id_at(&address, &wanted.action, &wanted.entry)
        };
        self.history.tasks.iter().filter(|held| held.action == wanted.action).any(is_same)
    }

    /// The id, or where it was given before, in this step or an earlier one, another that comes of it: a recipient drops as a repeat
    /// what has an id it knows.
    fn unused(&self, task_id: String, raised: &Raised) -> String {
        let of_step =
            || self.given.iter().map(|task| &task.task_id).chain(raised.tasks.iter().map(|task| &task.task_id));
        let held = || self.history.tasks.iter().map(|held| &held.task_id);
        let is_given = |id: &String| held().chain(of_step()).any(|given| given == id);
        let mut unused = task_id;
        while is_given(&unused) {
            unused = derived(&["task again", &unused, &self.at.0.to_string()]);
        }
        unused
    }

    fn task_id(&self, asked: &Asked<'_>) -> String {
        self.task_id_at(&asked.address, &asked.action, &asked.entry)
    }

    fn task_id_at(&self, address: &Address, action: &str, entry: &Entry) -> String {
        let unit = address.unit.as_deref().unwrap_or_default();
        let role = address.role.as_deref().unwrap_or_default();
        derived(&[
            "task",
            &entry.source.partner,
            &self.cause,
            &entry.event_id,
            &self.subject.to_hex(),
            &self.book.rules.hash,
            &address.agency,
            unit,
            role,
            action,
        ])
    }

    /// Where to answer. What needs no answer is sealed for no task, so that one given all the same leads nowhere.
    fn reply_to(&self, task_id: &str, asked: &Asked<'_>) -> String {
        let address = &asked.address;
        let task_id = match asked.relation {
            Relation::Word(_) => Uuid::nil(),
            Relation::Usual | Relation::Follows(_) | Relation::Chases(_) | Relation::Besides(_) | Relation::Digest => {
                Uuid::parse_str(task_id).unwrap_or_default()
            }
        };
        self.context.sealer.seal(&ReplyTo {
            subject: self.subject,
            task_id,
            agency: address.agency.clone(),
            unit: address.unit.clone().filter(|_| self.book.rules.has_many_units(&address.agency)),
        })
    }

    /// The address of the other child whom a question is about. It leads to no task: it is for a decision about both.
    fn other_reply_to(&self, task_id: &str, asked: &Asked<'_>) -> Option<String> {
        let Relation::Besides(subject) = asked.relation else { return None };
        let address = &asked.address;
        Some(self.context.sealer.seal(&ReplyTo {
            subject,
            task_id: Uuid::parse_str(&other_address_id(task_id)).unwrap_or_default(),
            agency: address.agency.clone(),
            unit: address.unit.clone().filter(|_| self.book.rules.has_many_units(&address.agency)),
        }))
    }

    /// What the recipient is shown. Without a referral at hand no child is named, only the sender's reference.
    fn disclose(&self, asked: &Asked<'b>, permit: Permit<'_>, standing: &mut Standing<'b>) -> Disclosed {
        let Some(referral) = self.referral else {
            let mut disclosed = Disclosed::default();
            if permit.allows("partner_reference") && asked.entry.partner_reference.is_some() {
                disclosed.partner_reference.clone_from(&asked.entry.partner_reference);
                disclosed.fields.push("partner_reference".into());
            }
            return disclosed;
        };
        let mut disclosed = permit.show(&referral.event, &referral.unverified);
        let known = self.known_of(asked, referral, standing);
        for words in [known.of_event(), known.open(), known.of_case()] {
            permit.show_words(words, &mut disclosed);
        }
        self.show_others(permit, &mut disclosed);
        disclosed
    }

    /// One entry a rule: the full reason for a reader who may see every fact in it, the title alone for others.
    fn reasons(&self, asked: &Asked<'b>, permit: Permit<'_>) -> Vec<Reason> {
        let tell = |(rule, title, why): &(String, String, Option<Why<'b>>)| {
            if permit.minimum {
                // Even a title may say more than the minimum.
                let told = asked.action.clone();
                return Reason { rule: rule.clone(), title: told.clone(), why: told };
            }
            let told = why.as_ref().and_then(|why| self.why(why, &asked.entry, permit));
            Reason { rule: rule.clone(), title: title.clone(), why: told.unwrap_or_else(|| title.clone()) }
        };
        asked.reasons.iter().map(tell).collect()
    }

    fn why(&self, why: &Why<'b>, entry: &Entry, permit: Permit<'_>) -> Option<String> {
        match why {
            Why::Plain(text) => Some(text.clone()),
            Why::Numbers { told, without } => Some(if permit.allows("call_back") { told } else { without }.clone()),
            Why::FromFacts { rule, verdict, worded } => {
                let facts = &self.book.rules.facts;
                if permit.minimum || !may_see_all(permit.agency, facts, &rule.why) {
                    return None;
                }
                let dates = |fact| self.book.dates(fact, self.history, entry, verdict.as_of, verdict.level);
                Some(worded.get_or_init(|| rule.why.render(facts, &verdict.table, &dates)).clone())
            }
        }
    }

    /// The bases in force at receipt, by letter, with their full statements.
    fn bases(&self, letters: &BTreeSet<String>) -> Vec<Basis> {
        let received = london_date(self.at);
        let stated = letters.iter().filter_map(|letter| self.book.rules.basis_at(letter, received));
        let mut bases: Vec<Basis> = stated
            .map(|basis| Basis { letter: basis.letter.clone(), statement: Arc::clone(&basis.statement) })
            .collect();
        bases.sort_by(|left, right| left.letter.cmp(&right.letter));
        bases.dedup_by(|left, right| left.letter == right.letter);
        bases
    }

    pub(super) fn held_task(&self, asked: &Asked<'_>, task_id: &str) -> HeldTask {
        HeldTask {
            task_id: task_id.to_owned(),
            event_id: asked.entry.event_id.clone(),
            agency: asked.address.agency.clone(),
            unit: asked.address.unit.clone(),
            role: asked.address.role.clone(),
            action: asked.action.clone(),
            due_at: asked.due.at,
            raised_at: self.at,
            level: asked.level,
            rules: asked.reasons.iter().map(|(rule, _, _)| rule.clone()).collect(),
            state: if asked.relation.wants_answer() { "raised" } else { TOLD }.to_owned(),
            state_at: self.at,
            outcomes: Vec::new(),
            partner: Some(asked.entry.source.partner.clone()).filter(|partner| !partner.is_empty()),
            escalate_at: None,
            acknowledge_by: asked.acknowledge_by,
            answer_from: asked.due.at_session.then_some(asked.due.at),
            rungs: None,
            needs_agreement: asked.needs_agreement.then_some(true),
            chases: asked.relation.chased().first().cloned(),
            chases_also: asked.relation.chased_also(),
            clock: asked.due.counted.as_ref().map(|counted| counted.clock.to_string()),
            clock_from: asked.due.counted.as_ref().map(|counted| counted.from),
            clock_school: asked.due.counted.as_ref().and_then(|counted| counted.school.clone()),
            // Armed when the step is done.
            complete_by: None,
            decided_apart: None,
            in_place_of: asked.meant_for.clone(),
            raised_for: None,
        }
    }

    /// What the recipient should weigh.
    fn notes(&self, asked: &Asked<'_>, permit: Permit<'_>) -> Vec<String> {
        let mut notes = asked.notes.clone();
        if asked.due.assumed {
            notes.push("The school's calendar is not known here: the next working day was assumed.".to_owned());
        }
        let calendar = &self.book.rules.calendar;
        let is_known = |by: &Counted| calendar.due(&by.clock, by.from, by.school.as_deref()).is_ok();
        if !asked.due.counted.as_ref().is_none_or(is_known) {
            notes.push(
                "The calendar of the rule book does not reach to when this is due: every day was counted as a working day. Tell \
                 whoever keeps the rule book."
                    .to_owned(),
            );
        }
        let passed_on = asked.reasons.iter().any(|(rule, _, _)| rule == READDRESSED_RULE);
        if asked.due.late && passed_on {
            notes.push("The time for this ran out while it lay with another unit: it is due at once.".to_owned());
        } else if asked.due.late {
            notes.push("The time for this had already run out when the event arrived: it is due at once.".to_owned());
        }
        if permit.allows("voice_of_child") && !permit.minimum && self.referral.is_some_and(voice_missing) {
            notes.push("What the child said or wants was not recorded: ask, and record it.".to_owned());
        }
        notes.extend(self.persons_not_to_tell(permit));
        notes.extend(self.persons_of_earlier(asked));
        notes.extend(self.unsafe_to_ask(asked));
        notes.extend(self.wish_against_own(&asked.address.agency));
        notes.extend(self.before_others(asked));
        let may_answer = self.suspect_may_answer(asked).filter(|_| permit.allows("call_back"));
        notes.extend(may_answer.filter(|note| !asked.notes.contains(note)));
        notes.extend(self.wish_in_words(&asked.address.agency));
        notes.extend(self.back_already(&asked.entry));
        notes.extend(self.about_others(asked));
        notes.extend(self.names_nobody(asked, permit));
        notes.extend(self.held_for_later(asked));
        notes
    }

    /// What a child wants is said in words, which nothing here reads: whoever decides is asked to, before a school is told
    /// more than it has been.
    fn wish_in_words(&self, agency: &str) -> Option<String> {
        let event = &self.referral.filter(|_| self.decides(agency))?.event;
        let said = event.voice_of_child.as_ref().is_some_and(|voice| voice.said.is_some());
        let open = event.do_not_inform.is_empty() && event.child.school_urn.is_some();
        (said && open).then(|| {
            "The child said what they want: read it before a school is told more. Words alone hold no route back."
                .to_owned()
        })
    }

    /// A start, or a regrading, that came to be known after the return: nobody goes out to look.
    fn back_already(&self, entry: &Entry) -> Option<String> {
        let back_at = episodes::returned_at(self.history, entry).filter(|back_at| *back_at <= self.at)?;
        let back = format!("The child was back by {}", instant_in_words(back_at));
        Some(match episodes::out_since(self.history, entry, self.at) {
            Some(since) => format!("{back}, and is gone again since {}.", instant_in_words(since)),
            None => format!("{back}: there is nobody to look for."),
        })
    }

    /// Those who act are sent to the front door to ask whom not to tell: so it must hold a task that says.
    fn ask_about_persons(&self, open: &mut Vec<Asked<'b>>) -> Result<(), StepError> {
        let Some(soonest) = open.iter().min_by_key(|task| task.due.at).filter(|_| !self.persons().is_empty()) else {
            return Ok(());
        };
        if open.iter().any(|task| self.decides(&task.address.agency) && task.relation.wants_answer()) {
            return Ok(());
        }
        let due = self.no_later_than(&soonest.due)?;
        let entry = Arc::clone(&soonest.entry);
        let why = "Those who act were told to ask the front door who must not learn of this.".to_owned();
        let title = "Someone must not learn of this";
        open.push(self.own_duty(HELD_BACK_RULE, title, why, PERSON_ACTION, due, &entry).into());
        Ok(())
    }
}

/// How the deadline came about, and the time itself as the clock on the wall shows it.
fn due_in_words(asked: &Asked<'_>) -> String {
    let (clock, at) = (asked.due.words.as_str(), instant_in_words(asked.due.at));
    let how = if asked.due.late { ", which had passed already: at once, " } else { ": by " };
    let mut words = [clock, how, &at, ", London time"].concat();
    if let Some(by) = asked.acknowledge_by {
        words.push_str("; acknowledge by ");
        words.push_str(&instant_in_words(by));
    }
    words
}
