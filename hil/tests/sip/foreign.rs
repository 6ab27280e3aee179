//! Phone and trunk against programs that others wrote: baresip, SIPp, Kamailio. Without such a program its tests say
//! so and prove nothing.

use super::{NOWHERE, PATIENCE, phone};
use hil::beside::free_port;
use hil::phone::{Auto, By};
use hil::trunk::{Account, Plan, Trunk, TrunkConfig};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Whether a program is there; if not, says that its tests are skipped.
fn installed(program: &str) -> bool {
    let places = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let there = places.split(':').any(|place| Path::new(place).join(program).is_file());
    if !there {
        println!("skipped: {program} is not installed");
    }
    there
}

/// Whoever is started here takes it for TCP too, where it might be a connection's of a test beside this one.
fn free() -> SocketAddr {
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    SocketAddr::new(ip, free_port(ip).unwrap())
}

/// A baresip that answers by itself and plays back what it hears.
async fn baresip(dir: &Path, at: SocketAddr, dial: Option<&str>) -> Child {
    let modules =
        ["/usr/lib/baresip/modules", "/usr/lib64/baresip/modules", "/usr/local/lib/baresip/modules"];
    let modules = modules.iter().find(|path| Path::new(path).is_dir()).unwrap();
    let config = format!(
        "sip_listen {at}\nnet_interface 127.0.0.1\nmodule_path {modules}\nausrc_srate 8000\nauplay_srate 8000\n\
         ausrc_channels 1\nauplay_channels 1\naudio_source aubridge,echo\naudio_player aubridge,echo\n\
         audio_alert aubridge,alert\nring_aufile none\nmodule g711.so\nmodule aubridge.so\nmodule_app account.so\n\
         module_app menu.so\n"
    );
    std::fs::write(dir.join("config"), config).unwrap();
    std::fs::write(dir.join("contacts"), "").unwrap();
    let account = format!("<sip:200@{at}>;regint=0;answermode=auto;audio_codecs=PCMU/8000\n");
    std::fs::write(dir.join("accounts"), account).unwrap();
    let mut command = Command::new("baresip");
    command.arg("-f").arg(dir).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    if let Some(to) = dial {
        command.args(["-e", &format!("/dial {to}")]);
    }
    let mut child = command.kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = String::new();
    let ready = async {
        while !said.contains("baresip is ready") {
            let line = lines.next_line().await.unwrap();
            said += &line.unwrap_or_else(|| panic!("baresip ended and had said:\n{said}"));
            said.push('\n');
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.unwrap();
    // Who nobody reads may block on a full pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    child
}

#[tokio::test]
async fn baresip_is_called_and_heard_and_hears() {
    if !installed("baresip") {
        return;
    }
    let (dir, at) = (tempfile::tempdir().unwrap(), free());
    let _baresip = baresip(dir.path(), at, None).await;
    let caller = phone(at, "100", |config| config.tone = vec![440.0]).await;
    let call = caller.call("200").await.unwrap();
    call.answered(PATIENCE).await.unwrap();
    // Nobody else says this: it has been there and back.
    call.wait_hears(440.0, PATIENCE).await.unwrap();
    call.play(&[900.0]);
    call.sound().wait_hears_only(&[900.0], PATIENCE).await.unwrap();
    call.hold(PATIENCE).await.unwrap();
    call.resume(PATIENCE).await.unwrap();
    call.wait_hears(900.0, PATIENCE).await.unwrap();
    call.hangup(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn baresip_calls_and_is_answered() {
    if !installed("baresip") {
        return;
    }
    let (dir, at) = (tempfile::tempdir().unwrap(), free());
    let called = phone(NOWHERE, "101", |config| {
        config.auto = Auto::AnswerAfter(50);
        config.tone = vec![700.0];
    })
    .await;
    let to = format!("sip:101@{}", called.local());
    let baresip = baresip(dir.path(), at, Some(&to)).await;
    let call = called.incoming(PATIENCE).await.unwrap();
    call.confirmed(PATIENCE).await.unwrap();
    call.hangup(PATIENCE).await.unwrap();
    drop(baresip);
}

#[tokio::test]
async fn sipp_calls_fifty_times_and_finds_nothing_wrong() {
    if !installed("sipp") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let called = phone(NOWHERE, "101", |config| config.auto = Auto::Answer).await;
    let target = called.local().to_string();
    let mut sipp = Command::new("sipp");
    sipp.args(["-sn", "uac", &target, "-s", "101", "-i", "127.0.0.1", "-m", "50", "-r", "50", "-d", "20"]);
    sipp.args(["-nostdin", "-timeout", "20"]).current_dir(dir.path());
    let output = tokio::time::timeout(PATIENCE, sipp.stdin(Stdio::null()).kill_on_drop(true).output()).await;
    let output = output.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    for _ in 0..50 {
        let end = called.incoming(PATIENCE).await.unwrap().ended(PATIENCE).await.unwrap();
        assert_eq!(end.by, By::Them);
    }
}

#[tokio::test]
async fn kamailio_between_phone_and_trunk_stays_in_the_way() {
    if !installed("kamailio") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let accounts = vec![Account::new("shop", "secret")];
    let trunk = Trunk::start(TrunkConfig { accounts, ..TrunkConfig::default() }).await.unwrap();
    trunk.route("+1*", Plan::ring_and_answer(50, 620.0));
    let at = free();
    let config = format!(
        "debug=0\nlog_stderror=yes\nchildren=1\nlisten=udp:{at}\nloadmodule \"tm.so\"\nloadmodule \"sl.so\"\n\
         loadmodule \"rr.so\"\nloadmodule \"pv.so\"\nloadmodule \"textops.so\"\nloadmodule \"siputils.so\"\n\
         request_route {{\n if (is_method(\"CANCEL\")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}\n\
         if (has_totag()) {{ if (loose_route()) {{ t_relay(); }} else if (is_method(\"ACK\")) {{ t_relay(); }}\n\
         else {{ sl_send_reply(\"404\", \"Not here\"); }} exit; }}\n\
         record_route();\n $du = \"sip:{}\";\n t_relay();\n}}\n",
        trunk.local()
    );
    let path = dir.path().join("kamailio.cfg");
    std::fs::write(&path, config).unwrap();
    let _kamailio = Command::new("/usr/sbin/kamailio")
        .arg("-f")
        .arg(&path)
        .arg("-P")
        .arg(dir.path().join("pid"))
        .arg("-Y")
        .arg(dir.path())
        .args(["-DD", "-E", "-m", "16", "-M", "4"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let shop = phone(at, "shop", |config| config.tone = vec![440.0]).await;
    let call = shop.call("+12065550199").await.unwrap();
    call.answered(PATIENCE).await.unwrap();
    let theirs = trunk.taken(PATIENCE).await.unwrap();
    call.wait_hears(620.0, PATIENCE).await.unwrap();
    theirs.wait_hears(440.0, PATIENCE).await.unwrap();
    call.hold(PATIENCE).await.unwrap();
    theirs.wait_held(true, PATIENCE).await.unwrap();
    call.resume(PATIENCE).await.unwrap();
    theirs.hangup(PATIENCE).await.unwrap();
    assert_eq!(call.ended(PATIENCE).await.unwrap().by, By::Them);
    let bye = shop.agent().endpoint().passed().into_iter().find(|one| one.message.method() == Some("BYE"));
    assert_eq!(bye.unwrap().peer.address, at, "through the proxy, by its Record-Route");
    trunk.route("+1*", Plan::no_answer());
    let call = shop.call("+12065550199").await.unwrap();
    call.ringing(PATIENCE).await.unwrap();
    assert_eq!(call.cancel(PATIENCE).await.unwrap().by, By::Cancelled);
}
