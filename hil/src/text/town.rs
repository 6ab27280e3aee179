//! The loop of the scenario: one queue of what is due (a text, a kill, a start, a look by the staff), and the texts
//! that the emulator's network takes from the box. Everything random comes from the plan's seed; how the processes
//! interleave does not.

use super::customer::{Customer, Misfit, Reaction};
use super::evidence::{self, Evidence, Life};
use super::installation::{Installation, Running};
use super::network::Network;
use super::{Chance, Error};
use crate::dealer::{Dealer, Fault, Plan as FaultPlan};
use crate::modem::Submitted;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What a visit is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Customers in conversation at once.
    pub customers: usize,
    /// SIGKILLs. Customers begin new conversations until the last one.
    pub kills: usize,
    /// Of everything random.
    pub seed: u64,
    /// Every other second the dealer loses, delays or refuses for the moment the order that he gets next.
    pub dealer_faults: bool,
    /// Longest time between a start and its kill, in milliseconds.
    pub life_ms: u64,
    /// Longest time between a kill and the next start, in milliseconds.
    pub pause_ms: u64,
    /// Longest time that a customer thinks before answering, in milliseconds.
    pub think_ms: u64,
    /// Silence after which a customer asks the staff.
    pub patience: Duration,
    /// Silence after which the scenario gives up: the box has forgotten a customer.
    pub stuck: Duration,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            customers: 20,
            kills: 200,
            seed: 1,
            dealer_faults: false,
            life_ms: 1500,
            pause_ms: 300,
            think_ms: 250,
            patience: Duration::from_millis(1500),
            stuck: Duration::from_secs(30),
        }
    }
}

#[derive(Debug)]
enum Due {
    Say(usize, String),
    Begin(usize),
    /// The customer has waited since that generation.
    Ask(usize, u64),
    /// The kill's moment; behind `Arm` it waits for the next thing to happen.
    Kill,
    Arm(When),
    Start,
    /// The dealer's next order goes wrong.
    Trouble,
    /// Looks whether all is told.
    Look,
}

/// Kills that are aimed: random moments alone seldom fall between a prompt and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    AtSubmit,
    AtDelivery,
}

/// What the staff did for a customer.
struct Staff {
    customer: usize,
    resent: Vec<String>,
}

struct Waiting {
    generation: u64,
    /// Since when; `None`: the customer is thinking, or has nothing to wait for.
    since: Option<Instant>,
    /// When the conversation began: what is older is not what the customer asks for.
    began: jiff::Timestamp,
}

struct Town<'a> {
    plan: &'a Plan,
    box_: &'a Installation,
    network: Network<'a>,
    dealer: &'a Dealer,
    customers: Vec<Customer>,
    waiting: Vec<Waiting>,
    queue: BTreeMap<(Instant, u64), Due>,
    next: u64,
    chance: Chance,
    running: Option<Running>,
    armed: Option<When>,
    kills_left: usize,
    lives: Vec<Life>,
    /// Customers who texted while the box was dead.
    texted_the_dead: BTreeSet<usize>,
    said: BTreeMap<(String, String), usize>,
    misfits: Vec<(String, Misfit)>,
    staff_tx: mpsc::Sender<Staff>,
    resent: Vec<String>,
    stuck: Vec<String>,
    settled_since: Option<Instant>,
}

/// Carries out a plan, ends the box with SIGTERM and collects the evidence.
///
/// # Errors
/// Something of the scenario itself does not work; what the box does wrong is in the evidence.
pub async fn visit(
    plan: &Plan,
    box_: &Installation,
    network: Network<'_>,
    dealer: &Dealer,
) -> Result<Evidence, Error> {
    let customers: Vec<Customer> =
        dealer.customers().iter().filter_map(Customer::new).take(plan.customers).collect();
    if customers.len() < plan.customers {
        return Err(Error::Box(format!("the dealer knows {} customers with machines", customers.len())));
    }
    let (staff_tx, staff) = mpsc::channel(plan.customers.max(1));
    let mut town = Town {
        plan,
        box_,
        network,
        dealer,
        waiting: customers
            .iter()
            .map(|_| Waiting { generation: 0, since: None, began: jiff::Timestamp::UNIX_EPOCH })
            .collect(),
        customers,
        queue: BTreeMap::new(),
        next: 0,
        chance: Chance::new(plan.seed),
        running: None,
        armed: None,
        kills_left: plan.kills,
        lives: Vec::new(),
        texted_the_dead: BTreeSet::new(),
        said: BTreeMap::new(),
        misfits: Vec::new(),
        staff_tx,
        resent: Vec::new(),
        stuck: Vec::new(),
        settled_since: None,
    };
    town.live(staff).await?;
    town.close().await
}

impl Town<'_> {
    fn after(&mut self, pause: Duration, due: Due) {
        self.next += 1;
        self.queue.insert((Instant::now() + pause, self.next), due);
    }

    async fn live(&mut self, mut staff: mpsc::Receiver<Staff>) -> Result<(), Error> {
        let mut submitted = self.network.listen();
        for customer in 0..self.customers.len() {
            let pause = self.chance.ms(0, self.plan.think_ms);
            self.after(pause, Due::Begin(customer));
        }
        self.after(Duration::ZERO, Due::Start);
        self.after(Duration::ZERO, Due::Look);
        if self.plan.dealer_faults {
            self.after(Duration::from_millis(500), Due::Trouble);
        }
        loop {
            let next = self.queue.first_key_value().map(|((at, _), _)| *at);
            tokio::select! {
                biased;
                text = submitted.next() => self.heard(&text?),
                Some(did) = staff.recv() => {
                    self.resent.extend(did.resent);
                    let generation = self.waiting.get(did.customer).map_or(0, |w| w.generation);
                    self.after(self.plan.patience, Due::Ask(did.customer, generation));
                }
                status = async { match &mut self.running {
                    Some(running) => running.ended().await,
                    None => std::future::pending().await,
                }} => return Err(Error::Box(format!("the box ended by itself: {}", status?))),
                () = async { match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }} => {
                    if let Some((_, due)) = self.queue.pop_first()
                        && self.carry_out(due).await?
                    {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// True when all has come to its end.
    async fn carry_out(&mut self, due: Due) -> Result<bool, Error> {
        match due {
            Due::Begin(customer) => {
                if let Some(who) = self.customers.get_mut(customer)
                    && who.is_idle()
                {
                    let text = who.begin();
                    if let Some(waiting) = self.waiting.get_mut(customer) {
                        waiting.began = jiff::Timestamp::now();
                    }
                    self.say(customer, text).await?;
                }
            }
            Due::Say(customer, text) => self.say(customer, text).await?,
            Due::Ask(customer, generation) => self.ask(customer, generation),
            Due::Arm(when) => self.armed = Some(when),
            Due::Kill => self.kill().await?,
            Due::Start => self.start()?,
            Due::Trouble => self.trouble()?,
            Due::Look => return Ok(self.look()),
        }
        Ok(false)
    }

    fn start(&mut self) -> Result<(), Error> {
        let log_offset = std::fs::metadata(self.box_.log()).map_or(0, |m| m.len());
        let running = self.box_.start()?;
        let owed = std::mem::take(&mut self.texted_the_dead).into_iter().collect();
        self.lives.push(Life::new(running.started, log_offset, owed));
        self.running = Some(running);
        if self.kills_left > 0 {
            let aim = self.chance.below(3);
            let pause = self.chance.ms(0, self.plan.life_ms);
            self.after(
                pause,
                match aim {
                    0 => Due::Kill,
                    1 => Due::Arm(When::AtSubmit),
                    _ => Due::Arm(When::AtDelivery),
                },
            );
            if aim != 0 {
                // Nothing may happen any more that it could wait for.
                self.after(pause + Duration::from_secs(2), Due::Kill);
            }
        }
        Ok(())
    }

    async fn kill(&mut self) -> Result<(), Error> {
        let Some(running) = self.running.take() else { return Ok(()) };
        running.kill().await?;
        self.armed = None;
        self.queue.retain(|_, due| !matches!(due, Due::Kill | Due::Arm(_)));
        if let Some(life) = self.lives.last_mut() {
            life.killed = true;
        }
        self.kills_left = self.kills_left.saturating_sub(1);
        let pause = self.chance.ms(0, self.plan.pause_ms);
        self.after(pause, Due::Start);
        Ok(())
    }

    fn trouble(&mut self) -> Result<(), Error> {
        const FAULTS: [Fault; 6] = [
            Fault::CommitThenSilence,
            Fault::CommitThen500,
            Fault::Silence,
            Fault::Error500,
            Fault::Unavailable,
            Fault::CommitLate { seconds: 0.2 },
        ];
        let at = usize::try_from(self.chance.below(FAULTS.len() as u64)).unwrap_or(0);
        let over = self.kills_left == 0;
        let fault = FAULTS.get(at).copied().filter(|_| !over).unwrap_or_default();
        self.dealer.set_fault(FaultPlan::next_orders(1, fault))?;
        if !over {
            let pause = self.chance.ms(200, 2000);
            self.after(pause, Due::Trouble);
        }
        Ok(())
    }

    fn aim(&mut self, when: When) {
        if self.armed == Some(when) {
            self.armed = None;
            let pause = self.chance.ms(0, 25);
            self.after(pause, Due::Kill);
        }
    }

    async fn say(&mut self, customer: usize, text: String) -> Result<(), Error> {
        let Some(who) = self.customers.get(customer) else { return Ok(()) };
        self.network.deliver(&who.phone, &text).await?;
        *self.said.entry((who.phone.clone(), text)).or_default() += 1;
        if self.running.is_none() {
            self.texted_the_dead.insert(customer);
        }
        self.aim(When::AtDelivery);
        self.wait(customer);
        Ok(())
    }

    /// From now on the customer waits for the shop.
    fn wait(&mut self, customer: usize) {
        let Some(waiting) = self.waiting.get_mut(customer) else { return };
        waiting.generation += 1;
        waiting.since = Some(Instant::now());
        let generation = waiting.generation;
        self.after(self.plan.patience, Due::Ask(customer, generation));
    }

    fn heard(&mut self, text: &Submitted) {
        self.aim(When::AtSubmit);
        if let Some(life) = self.lives.last_mut() {
            life.spoke();
        }
        let Some((at, who)) = self.customers.iter_mut().enumerate().find(|(_, c)| c.phone == text.to) else {
            let why = "nobody has this number".to_owned();
            self.misfits.push((text.to.clone(), Misfit { why, text: text.text.clone() }));
            return;
        };
        let reaction = who.hear(&text.text);
        if !matches!(reaction, Ok(Reaction::Note))
            && let Some(life) = self.lives.last_mut()
        {
            life.answered(at);
        }
        match reaction {
            Ok(Reaction::Answer(answer)) => {
                self.thinks(at);
                let pause = self.chance.ms(0, self.plan.think_ms);
                self.after(pause, Due::Say(at, answer));
            }
            Ok(Reaction::Wait) => self.wait(at),
            Ok(Reaction::Over) => {
                self.thinks(at);
                if self.kills_left > 0 {
                    let pause = self.chance.ms(0, 2 * self.plan.think_ms);
                    self.after(pause, Due::Begin(at));
                }
            }
            Ok(Reaction::Note) => {}
            Err(misfit) => self.misfits.push((text.to.clone(), misfit)),
        }
    }

    fn thinks(&mut self, customer: usize) {
        if let Some(waiting) = self.waiting.get_mut(customer) {
            waiting.generation += 1;
            waiting.since = None;
        }
    }

    /// A customer who has heard nothing for long asks the staff.
    fn ask(&mut self, customer: usize, generation: u64) {
        let Some(waiting) = self.waiting.get(customer).filter(|w| w.generation == generation) else { return };
        let (Some(since), Some(who)) = (waiting.since, self.customers.get(customer)) else { return };
        if since.elapsed() > self.plan.stuck {
            self.stuck.push(format!("{} waits for {:?}", who.phone, who.awaits()));
            self.thinks(customer);
            return;
        }
        let (box_, phone, awaited) = (self.box_.clone(), who.phone.clone(), who.awaits());
        let began = waiting.began;
        let staff = self.staff_tx.clone();
        tokio::spawn(async move {
            let resent = help(&box_, &phone, &awaited, began).await.unwrap_or_default();
            // Closed when the scenario is over.
            drop(staff.send(Staff { customer, resent }).await);
        });
    }

    /// After the last kill: are all conversations over, and all orders told that will be?
    fn look(&mut self) -> bool {
        let told: BTreeSet<&String> = self.customers.iter().flat_map(|c| c.told().keys()).collect();
        let orders = self.dealer.orders();
        let all_told = orders.iter().all(|order| told.contains(&order.order_id));
        let idle = |(at, c): (usize, &Customer)| {
            c.is_idle() && !c.talks().is_empty()
                || self.stuck.iter().any(|s| s.starts_with(&c.phone))
                || self.misfit_at(at)
        };
        let over = self.kills_left == 0 && self.customers.iter().enumerate().all(idle);
        // What was lost with a kill is never told: then the silence says that this is all.
        let silent = self.settled_since.is_some_and(|since| since.elapsed() > Duration::from_secs(3));
        if over && self.settled_since.is_none() {
            self.settled_since = Some(Instant::now());
        }
        let done = over && (all_told || silent);
        if !done {
            self.after(Duration::from_millis(100), Due::Look);
        }
        done
    }

    fn misfit_at(&self, customer: usize) -> bool {
        let phone = self.customers.get(customer).map(|c| &c.phone);
        self.misfits.iter().any(|(who, _)| Some(who) == phone)
    }

    async fn close(mut self) -> Result<Evidence, Error> {
        let Some(running) = self.running.take() else {
            return Err(Error::Box("the box is dead at the end".to_owned()));
        };
        let (status, term) = running.terminate().await?;
        if !status.success() {
            return Err(Error::Box(format!("SIGTERM ended it with {status}")));
        }
        let found = evidence::Found {
            customers: self.customers,
            orders: self.dealer.orders(),
            said: self.said,
            misfits: self.misfits,
            stuck: self.stuck,
            resent: self.resent,
            lives: self.lives,
            submitted: self.network.submitted().await?,
            term,
        };
        evidence::weigh(found, self.box_, self.network).await
    }
}

/// What the staff do when a customer complains: send again the text that the customer waits for, if it is in doubt.
async fn help(
    box_: &Installation,
    phone: &str,
    awaited: &[&str],
    began: jiff::Timestamp,
) -> Result<Vec<String>, Error> {
    let unknown = box_.rows(&["sms", "unknown"]).await?;
    let text = |row: &Value, key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    for phrase in awaited {
        let meant = |row: &&Value| {
            let since = text(row, "created").parse::<jiff::Timestamp>().is_ok_and(|at| at >= began);
            since && text(row, "person") == phone && text(row, "body").contains(phrase)
        };
        let candidate = unknown.iter().rfind(meant);
        let Some(row) = candidate else { continue };
        let parts = row.get("parts").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if parts.iter().any(|part| matches!(text(part, "state").as_str(), "queued" | "handed")) {
            return Ok(Vec::new());
        }
        let id = text(row, "id");
        let output = box_.run(&["sms", "resend", &id]).await?;
        return Ok(if output.status.success() { vec![id] } else { Vec::new() });
    }
    Ok(Vec::new())
}
