//! Driving the engine without a broker: decide, scenarios, what-if.
