//! What goes out after all: what was held back, once its route is lifted, and what a rule that fired asks besides.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::route::{Address, is_suppressed, suppressions};
use super::{Deadline, Finding, Raised, Raising, Relation, TOLD_BY_MISTAKE, Wanted};
use crate::engine::context::StepError;
use crate::engine::history::{RECALLED, episodes, is_open};
use crate::engine::model::history::{Entry, HeldBack, HeldTask};
use crate::engine::rules::book::{Rule, TaskRule};
use crate::engine::rules::expression::Truth;

impl<'b> Raising<'b> {
    /// Of what these findings ask, what only the lifted routes kept from going out: with clocks from now.
    pub fn raise_lifted(&self, findings: &[Finding<'b>], lifted: &BTreeSet<HeldBack>) -> Result<Raised, StepError> {
        let front_door = &self.book.rules.front_door;
        self.raise_held_back(findings, |one| is_suppressed(&one.address, front_door, lifted))
    }

    /// Of what these findings ask, what was kept back and nobody has ever been asked: a notice of death kept it from going out since, that stands
    /// no longer. What is for the digest is of another day.
    pub fn raise_overtaken(
        &self,
        findings: &[Finding<'b>],
        was_kept: impl Fn(&Wanted<'b>) -> bool,
    ) -> Result<Raised, StepError> {
        let is_held_in_place = |one: &Wanted<'b>| {
            let meant_for = one.address.in_place_of.as_ref();
            meant_for.is_some_and(|meant_for| self.is_to_pass_on(meant_for, one))
        };
        // One task stands for what several events ask.
        let is_held = |one: &Wanted<'b>| {
            let meant_for = one.address.meant_for();
            let mut services = self.history.tasks.iter().filter(|held| held.needs_agreement == Some(true));
            one.needs_agreement
                && services.any(|held| held.agency == *meant_for && held.action == one.action && is_open(&held.state))
        };
        self.raise_held_back(findings, |one| {
            one.relation != Relation::Digest && was_kept(one) && !is_held_in_place(one) && !is_held(one)
        })
    }

    /// What was held back, as is told by this, and is not any more.
    fn raise_held_back(
        &self,
        findings: &[Finding<'b>],
        was_held_back: impl Fn(&Wanted<'b>) -> bool,
    ) -> Result<Raised, StepError> {
        let mut wanted = self.wanted_by(findings)?;
        let is_shut = |one: &Wanted<'b>| is_suppressed(&one.address, &self.book.rules.front_door, self.held_back());
        let went_out = |one: &Wanted<'b>| match &one.address.in_place_of {
            // Who stands in was asked on its own account.
            Some(meant_for) => {
                let is_passed_on = || self.referral.is_some() && self.is_to_pass_on(meant_for, one);
                self.holds_of_rule(meant_for, &one.rule, &one.entry) || is_passed_on()
            }
            None => {
                // What its own rule asked of another event of the episode is counted anew, as it always is.
                let is_by_rule = |held: &HeldTask| held.rules.contains(&one.rule);
                let is_by_then =
                    |held: &Arc<HeldTask>| one.needs_agreement || is_by_rule(held) || one.due.is_asked_by(held);
                self.holds_of_rule(&one.address.agency, &one.rule, &one.entry)
                    || self.asked_of(&one.address, &one.action, &one.entry).any(is_by_then)
            }
        };
        wanted.retain(|one| was_held_back(one) && !is_shut(one) && !went_out(one));
        for one in &mut wanted {
            self.tell_of_lifting(one);
        }
        self.send(self.merge(wanted))
    }

    /// Of what these findings ask, what was asked by these tasks of another event, and has ended with it: one task had stood for both.
    pub fn raise_ended(&self, findings: &[Finding<'b>], ended: &[Arc<HeldTask>]) -> Result<Raised, StepError> {
        let mut wanted = self.wanted_by(findings)?;
        let is_theirs = |one: &Wanted<'b>, task: &HeldTask| {
            let meant_for = one.address.meant_for();
            task.action == one.action && (task.agency == *meant_for || task.in_place_of.as_ref() == Some(meant_for))
        };
        let had_ended = |one: &Wanted<'b>| ended.iter().any(|task| is_theirs(one, task) && !task.is_of(&one.entry));
        let is_held = |one: &Wanted<'b>| {
            let mut of_event = self.history.tasks.iter().filter(|held| held.is_of(&one.entry));
            of_event.any(|held| is_theirs(one, held) && !self.is_recalled(held))
        };
        wanted.retain(|one| had_ended(one) && !is_held(one));
        let mut merged = self.merge(wanted);
        merged.retain(|task| !self.already_asked(task));
        self.send(merged)
    }

    /// Of what these findings ask, and somebody holds of these tasks, what cannot wait and a route that is shut now keeps from an agency
    /// in whose place nobody acts: asked of its senior.
    pub fn raise_for_seniors(
        &self,
        findings: &[Finding<'b>],
        shut: &BTreeSet<HeldBack>,
        held: &[&HeldTask],
    ) -> Result<Raised, StepError> {
        let mut wanted = self.wanted_by(findings)?;
        let is_held = |one: &Wanted<'b>| {
            let same = |task: &&&HeldTask| {
                task.agency == one.address.agency && task.action == one.action && task.is_of(&one.entry)
            };
            held.iter().any(|task| same(&task))
        };
        wanted.retain(is_held);
        let front_door = &self.book.rules.front_door;
        let mut asked = Vec::new();
        for mut task in self.merge(wanted) {
            let routes = suppressions(&task.address, front_door, shut);
            let Some(senior) = self.senior_for(&task, &routes).filter(|_| !routes.is_empty()) else { continue };
            // Where it is held back already, it goes there by that.
            if !is_suppressed(&task.address, front_door, self.held_back()) {
                task.address.role = Some(senior);
                task.notes.push(self.for_you_alone());
            }
            if !self.already_asked(&task) {
                asked.push(task);
            }
        }
        self.send(asked)
    }

    /// Whether a finding asks anything of anyone, as things stand.
    pub fn asks_anything(&self, finding: &Finding<'b>) -> Result<bool, StepError> {
        Ok(!self.wanted_by(std::slice::from_ref(finding))?.is_empty())
    }

    /// Of a rule that was acted on before: whether it did not ask this then, or did not know the unit it asks now.
    pub(super) fn is_newly_asked(
        &self,
        finding: &Finding<'b>,
        task: &TaskRule,
        (address, due): (&Address, &Deadline),
    ) -> bool {
        let Some(before) = &finding.before else { return true };
        let (rule, entry) = (finding.rule, &finding.entry);
        // By a notice of death alone nobody who is to look is told that the search is over.
        let goes_on = || episodes::goes_on(self.history, entry, self.at);
        let is_untrue = self.book.rules.says_search_is_over(task) && goes_on();
        if is_untrue || self.asked_of(address, &task.action, entry).any(|held| due.is_asked_by(held)) {
            return false;
        }
        let asked_then = before.fires(&rule.id) && task.applies(&before.table) == Truth::True;
        !asked_then || self.is_found_out(address, rule, entry)
    }

    /// A unit that the report at hand names, where none of its agency had been known to ask: another stood in. Not the one
    /// that reports.
    fn is_found_out(&self, address: &Address, rule: &Rule, entry: &Entry) -> bool {
        let rules = &self.book.rules;
        let reports = self.referral.is_some_and(|referral| {
            let source = &referral.event.source;
            source.agency.as_ref() == Some(&address.agency) && Some(&source.unit) == address.unit.as_ref()
        });
        let stood_in = |agency: &str| agency != address.agency && self.holds_of_rule(agency, &rule.id, entry);
        let otherwise = rules.agencies.get(&address.agency).and_then(|agency| agency.otherwise.as_ref());
        rules.has_many_units(&address.agency)
            && address.unit.is_some()
            && address.in_place_of.is_none()
            && !reports
            && !self.holds_of_rule(&address.agency, &rule.id, entry)
            && stood_in(otherwise.unwrap_or_else(|| self.who_decides()))
            && !is_suppressed(address, &rules.front_door, self.held_back())
    }

    /// The router keeps no names and no account: who the child is and what was told comes from whoever lifted the route.
    fn tell_of_lifting(&self, one: &mut Wanted<'b>) {
        let named = self.referral.is_some_and(|referral| {
            let child = &referral.event.child;
            child.family_name.is_some() || child.given_names.is_some()
        });
        if !named && let Some(meant_for) = one.address.in_place_of.take() {
            one.address = Address { in_place_of: Some(meant_for), ..self.front_door(one.due.urgent_by()) };
            one.notes = self.notes_in_place(&one.address, &one.action, &one.entry);
        }
        if self.referral.is_none() {
            one.notes.push(
                "What held this back has ended: the event that said so was withdrawn, or is another child's."
                    .to_owned(),
            );
            return;
        }
        one.notes.push(
            "This was held back from you until now. The sender's own words are not with it: ask whoever lifted the \
             route for them."
                .to_owned(),
        );
        if !named {
            one.notes.push("The decision did not name the child: ask whoever lifted the route, at once.".to_owned());
        }
    }

    /// Whether somebody holds it in the place of whom it was meant for, or has passed it on.
    fn is_to_pass_on(&self, meant_for: &String, one: &Wanted<'b>) -> bool {
        let mut held = self.history.tasks.iter().filter(|held| held.is_of(&one.entry) && held.action == one.action);
        held.any(|held| held.in_place_of.as_ref() == Some(meant_for) && !self.is_recalled(held))
    }

    /// Whether tasks of the rule reached the agency for the event: then the route was open at the time.
    fn holds_of_rule(&self, agency: &str, rule: &str, entry: &Entry) -> bool {
        self.history.tasks.iter().any(|held| {
            held.is_of(entry)
                && held.agency == agency
                && held.rules.iter().any(|asked| asked == rule)
                && !self.is_recalled(held)
        })
    }

    /// What this recipient was ever asked by which they were to do this for the same event or episode, whatever was decided since.
    fn asked_of<'r>(
        &'r self,
        address: &'r Address,
        action: &'r str,
        entry: &'r Entry,
    ) -> impl Iterator<Item = &'r Arc<HeldTask>> {
        let events = episodes::one_episode(self.history, entry);
        let many_units = self.book.rules.has_many_units(&address.agency);
        self.history.tasks.iter().filter(move |held| {
            held.agency == address.agency
                && held.action == action
                && (held.unit == address.unit || !many_units)
                && !self.is_recalled(held)
                && events.iter().any(|event| held.is_of(event))
        })
    }

    /// Whether whoever holds a task was told to stop: also one that they had done by then.
    fn is_recalled(&self, held: &HeldTask) -> bool {
        let says_so = |word: &Arc<HeldTask>| {
            word.action == TOLD_BY_MISTAKE
                && word.agency == held.agency
                && (word.unit == held.unit || !self.book.rules.has_many_units(&held.agency))
                && (word.event_id == held.event_id && word.partner == held.partner)
                && word.raised_at >= held.raised_at
        };
        held.state == RECALLED || self.history.tasks.iter().any(says_so)
    }
}
