//! Wire formats of model APIs, our own code both ways: typed clients drop the fields they do not know, and with them
//! cache keys and signatures. A format knows a vendor's JSON and nothing else.

pub mod anthropic;
