//! What the control plane promises, one sentence per test, over descriptors as people write them.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod authority;
#[cfg(test)]
mod autonomy;
#[cfg(test)]
mod budget;
#[cfg(test)]
mod cedar;
#[cfg(test)]
mod change;
#[cfg(test)]
mod consent;
#[cfg(test)]
mod decide;
#[cfg(test)]
mod delegation;
#[cfg(test)]
mod exhausted;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod grants;
#[cfg(test)]
mod house;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod narrowed;
#[cfg(test)]
mod origins;
#[cfg(test)]
mod quorum;
#[cfg(test)]
mod readiness;
#[cfg(test)]
mod registry;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod stopping;
#[cfg(test)]
mod world;
