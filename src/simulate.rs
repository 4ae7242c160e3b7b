//! A simulated partnership: made-up referral events with a realistic mix.
