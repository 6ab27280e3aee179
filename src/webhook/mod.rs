//! Delivers the box's own events to the endpoints that the technician configured: signed, again and again for a day,
//! each with its id as idempotency key. What is to be delivered, when and how often is `outbox`'s to decide.
