"""Tables of usage: postings, reads of facts and balances, hours and months, sealed segments, and what grants say."""
