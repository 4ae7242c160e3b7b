//! From rules that fired to tasks: recipients, deadlines, merging, deterministic ids.
