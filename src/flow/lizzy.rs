//! The shipped flows, as Studio JSON.
//!
//! Owns the copy that customers read, and nothing else: each file under `lizzy/` is a Studio v2 definition that
//! the console can load, change and publish, and that Studio itself can import. No flow is special to the
//! engine; the box only knows the names [`MAIN_MENU`] and [`ORDER_FAILED`].
//!
//! | flow | started by | context that it takes |
//! |---|---|---|
//! | `Main_Menu` | a text, `MENU`, every "Main Menu" | none |
//! | `Troubleshoot_Equipment` | Main_Menu | none |
//! | `Schedule_Service` | Main_Menu, Troubleshoot_Equipment, Service_Status, back from Order_Parts | `EquipmentId`, `EquipmentName`, `EquipmentSN`, `ReturnFromParts`, `ProblemDescription` |
//! | `Service_Status` | Main_Menu, Troubleshoot_Equipment | `EquipmentId`: only its orders |
//! | `Order_Parts` | Main_Menu, Troubleshoot_Equipment, Parts_Order_Status, Schedule_Service | `EquipmentId`, `EquipmentName`, `EquipmentSN`, `ReturnToService`, `ProblemDescription` |
//! | `Parts_Order_Status`, `View_Pay_Invoice` | Main_Menu, Troubleshoot_Equipment | none |
//! | `Order_Failed` | the box, when the dealer refuses an order; the flows, when they cannot place one | `OrderKind` (`parts`, else it speaks of a service), `EquipmentName`, `ProblemDescription`, `PartName` |
//! | `Unknown_Customer` | every flow, when the dealer answers 404 to the phone number | none |
//!
//! What the guide leaves open, and how it is decided here:
//! - A wrong answer is asked again with the choices, three times; the fourth ends with the shop's number.
//!   `wrong` counts for the menu that `wrongAt` names, and starts anew when a menu was left rightly.
//! - A problem description needs three letters. The guide says "10+ characters" in one place and "no validation"
//!   in another; "no spark" is a good answer, a stray `1` of the menu before is not.
//! - Choices keep their numbers when one is not offered: without service in progress Troubleshoot_Equipment has
//!   no 3, without an address on file Order_Parts has no 1. Such a number is a wrong answer.
//! - Lists go on beyond ten ("Show More", item numbers start at 1 on every page). In the parts list 11 and 12 stay
//!   what the guide makes them, so Show More is 13. The guide counts "Main Menu" as the list's length plus two
//!   also where it shows no "Show More"; here the numbers have no gap.
//! - `popularity` is a rank: the smallest comes first, as the guide sorts.
//! - Underscores of a status are shown as spaces. What a record lacks (an estimate, an invoice) has no line.
//! - A paid invoice has no "Pay Now".
//! - `thanks` to a courtesy menu (`closing…`) ends it kindly; it is no wrong answer.
//! - When parts cannot be ordered (none on file, refused), a customer who came from Schedule_Service is told and
//!   goes back to it: the service order is not lost with the part.

/// What a first text and `MENU` start.
pub const MAIN_MENU: &str = "Main_Menu";

/// What the box starts for a customer whose order the dealer refused.
pub const ORDER_FAILED: &str = "Order_Failed";

/// Friendly name and Studio JSON of each shipped flow.
pub const FLOWS: &[(&str, &str)] = &[
    (MAIN_MENU, include_str!("lizzy/main_menu.json")),
    ("Troubleshoot_Equipment", include_str!("lizzy/troubleshoot_equipment.json")),
    ("Schedule_Service", include_str!("lizzy/schedule_service.json")),
    ("Service_Status", include_str!("lizzy/service_status.json")),
    ("Order_Parts", include_str!("lizzy/order_parts.json")),
    ("Parts_Order_Status", include_str!("lizzy/parts_order_status.json")),
    ("View_Pay_Invoice", include_str!("lizzy/view_pay_invoice.json")),
    (ORDER_FAILED, include_str!("lizzy/order_failed.json")),
    ("Unknown_Customer", include_str!("lizzy/unknown_customer.json")),
];

#[cfg(test)]
mod tests;
