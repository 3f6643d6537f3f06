//! What is written to a span is what a receiver gets: nothing is lost, mixed up or made up on the way.

mod attributes_arrive_as_set;
mod events_and_links_arrive_in_order;
mod fields_say_whose_span_it_is;
mod limits_are_counted;
mod names_of_any_length_arrive;
mod spans_last_as_long_as_they_do;
mod statuses_follow_the_specification;
mod traced;
