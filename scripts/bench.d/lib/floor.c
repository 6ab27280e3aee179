/* The floor under the texting figures: the shortest AT dialogue that gets texts in or out of a modem with each of
 * them on disk, and nothing else: no parsing of PDUs, no conversation, no retries, no second thread.
 *
 *   floor PORT in N FILE text|batch   texts as they come; an fsync a text, or one for what a listing brought
 *   floor PORT out N FILE text PDU L  the same PDU (TPDU of L octets) N times, an fsync before and after each
 *
 * Prints {"ready":true} when the modem is set up and {"done":N} at the end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static int port, disk;
static char buffer[1 << 16];
static size_t from, to;

static void die(const char *what) {
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void keep(const char *text) {
    size_t length = strlen(text);
    if (write(disk, text, length) != (ssize_t)length || write(disk, "\n", 1) != 1) die("write");
}

static void sync_disk(void) {
    if (fdatasync(disk) != 0) die("fdatasync");
}

static void say(const char *text) {
    size_t length = strlen(text);
    while (length > 0) {
        ssize_t n = write(port, text, length);
        if (n < 0) die("port");
        text += n;
        length -= (size_t)n;
    }
}

/* The next line that is not empty, or the prompt. */
static char *line(void) {
    for (;;) {
        while (from < to && (buffer[from] == '\r' || buffer[from] == '\n')) from++;
        if (to - from >= 2 && buffer[from] == '>' && buffer[from + 1] == ' ') {
            from += 2;
            return ">";
        }
        char *end = memchr(buffer + from, '\n', to - from);
        if (end) {
            char *start = buffer + from;
            from = (size_t)(end - buffer) + 1;
            if (end > start && end[-1] == '\r') end--;
            *end = 0;
            return start;
        }
        memmove(buffer, buffer + from, to - from);
        to -= from;
        from = 0;
        if (to == sizeof buffer) die("a line is too long");
        ssize_t n = read(port, buffer + to, sizeof buffer - to);
        if (n <= 0) die("port");
        to += (size_t)n;
    }
}

/* Slots that +CMTI named. */
static int waiting[1 << 16];
static unsigned first, last;

static int indication(const char *text) {
    if (strncmp(text, "+CMTI:", 6) != 0) return 0;
    const char *comma = strchr(text, ',');
    waiting[last++ & 0xffff] = comma ? atoi(comma + 1) : 0;
    return 1;
}

static void until(const char *wanted) {
    for (;;) {
        char *text = line();
        if (indication(text)) continue;
        if (strstr(text, "ERROR")) {
            fprintf(stderr, "floor: %s\n", text);
            exit(1);
        }
        if (strcmp(text, wanted) == 0) return;
    }
}

static void command(const char *text) {
    say(text);
    until("OK");
}

static void delete(int slot) {
    char text[32];
    snprintf(text, sizeof text, "AT+CMGD=%d\r", slot);
    command(text);
}

static void receive_one(void) {
    int slot = waiting[first++ & 0xffff], body = 0;
    char text[32];
    snprintf(text, sizeof text, "AT+CMGR=%d\r", slot);
    say(text);
    for (;;) {
        char *answer = line();
        if (body) {
            keep(answer);
            body = 0;
        } else if (strncmp(answer, "+CMGR:", 6) == 0) {
            body = 1;
        } else if (!indication(answer) && strcmp(answer, "OK") == 0) {
            break;
        }
    }
    sync_disk();
    delete(slot);
}

static int receive_listed(void) {
    static int slots[1024];
    int count = 0, body = 0;
    first = last;
    say("AT+CMGL=4\r");
    for (;;) {
        char *answer = line();
        if (body) {
            keep(answer);
            body = 0;
        } else if (strncmp(answer, "+CMGL:", 6) == 0 && count < 1024) {
            slots[count++] = atoi(answer + 6);
            body = 1;
        } else if (!indication(answer) && strcmp(answer, "OK") == 0) {
            break;
        }
    }
    if (count > 0) sync_disk();
    for (int i = 0; i < count; i++) delete(slots[i]);
    return count;
}

static void send_one(const char *pdu, const char *length) {
    char text[32];
    keep("handed");
    sync_disk();
    snprintf(text, sizeof text, "AT+CMGS=%s\r", length);
    say(text);
    until(">");
    say(pdu);
    say("\x1a");
    until("OK");
    keep("sent");
    sync_disk();
}

int main(int argc, char **argv) {
    if (argc < 6) return 2;
    int count = atoi(argv[3]), out = strcmp(argv[2], "out") == 0, batch = strcmp(argv[5], "batch") == 0;
    if (out && argc < 8) return 2;
    port = open(argv[1], O_RDWR | O_NOCTTY);
    if (port < 0) die(argv[1]);
    struct termios raw;
    if (tcgetattr(port, &raw) != 0) die("tcgetattr");
    cfmakeraw(&raw);
    tcsetattr(port, TCSANOW, &raw);
    disk = open(argv[4], O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (disk < 0) die(argv[4]);
    command("ATE0\r");
    command("AT+CMGF=0\r");
    command("AT+CPMS=\"ME\",\"ME\",\"ME\"\r");
    command("AT+CNMI=2,1,0,0,0\r");
    puts("{\"ready\":true}");
    fflush(stdout);
    if (out) {
        /* Starts when it is told to: what comes before is not measured. */
        if (getchar() == EOF) return 1;
        for (int i = 0; i < count; i++) send_one(argv[6], argv[7]);
    } else {
        for (int i = 0; i < count;) {
            while (first == last) indication(line());
            if (batch) {
                i += receive_listed();
            } else {
                receive_one();
                i++;
            }
        }
    }
    printf("{\"done\":%d}\n", count);
    fflush(stdout);
    /* Whoever measures reads what this process used before it goes. */
    pause();
    return 0;
}
