// A cloud for V5 loggers under Node that keeps nothing, in the manner of Hypfer's dummycloud: marker,
// length and checksum are verified, the payload's 40 most wanted fields read into an object, and a
// request is answered with the time. With the argument "trace" it also makes the texts that
// dummycloud makes of each chunk and answer for a log that is shown to nobody ordinarily.
// It prints its port, and serves until its stdin ends.
"use strict";

const net = require("net");

const ENVELOPE = 13;
const DATA = 0x42;
const DATA_SIZE = 343;

function checksum(buf, start, end) {
    let sum = 0;
    for (let i = start; i < end; i++) {
        sum += buf[i];
    }
    return sum & 255;
}

function text(buf, start, end) {
    while (end > start && buf[end - 1] === 0) {
        end--;
    }
    return buf.toString("latin1", start, end);
}

function fields(p) {
    return {
        inverter_serial: text(p, 21, 31),
        energy_today: p.readUInt32LE(33) / 100,
        energy_total: p.readUInt32LE(37) / 10,
        grid_voltage: p.readUInt16LE(45) / 10,
        grid_current: p.readUInt16LE(51) / 10,
        grid_frequency: p.readUInt16LE(57) / 100,
        active_power: p.readUInt32LE(59),
        radiator_temperature: p.readInt16LE(63) / 100,
        pv1_voltage: p.readUInt16LE(85) / 10,
        pv1_current: p.readUInt16LE(87) / 10,
        pv2_voltage: p.readUInt16LE(89) / 10,
        pv2_current: p.readUInt16LE(91) / 10,
        pv3_voltage: p.readUInt16LE(93) / 10,
        pv3_current: p.readUInt16LE(95) / 10,
        pv4_voltage: p.readUInt16LE(97) / 10,
        pv4_current: p.readUInt16LE(99) / 10,
        protocol_version: text(p, 101, 109),
        dc_master_firmware: text(p, 109, 117),
        ac_firmware: text(p, 117, 125),
        rated_power: p.readUInt16BE(129) / 10,
        mppt_count: p[131],
        phase_count: p[132],
        pv1_energy_today: p.readUInt16BE(135) / 10,
        pv2_energy_today: p.readUInt16BE(137) / 10,
        pv3_energy_today: p.readUInt16BE(139) / 10,
        pv4_energy_today: p.readUInt16BE(141) / 10,
        pv1_energy_total: p.readUInt32BE(143) / 10,
        pv2_energy_total: p.readUInt32BE(147) / 10,
        pv3_energy_total: p.readUInt32BE(151) / 10,
        pv4_energy_total: p.readUInt32BE(155) / 10,
        over_frequency_start: p.readUInt16BE(223) / 100,
        over_frequency_load_reduction: p.readUInt16BE(225),
        grid_voltage_limit_upper: p.readUInt16BE(235) / 10,
        grid_voltage_limit_lower: p.readUInt16BE(237) / 10,
        grid_frequency_limit_upper: p.readUInt16BE(239) / 100,
        grid_frequency_limit_lower: p.readUInt16BE(241) / 100,
        self_check_time: p.readUInt16BE(243),
        second_over_frequency_start: p.readUInt16BE(284) / 100,
        second_grid_voltage_limit_upper: p.readUInt16BE(308) / 10,
        second_grid_voltage_limit_lower: p.readUInt16BE(310) / 10,
    };
}

function reply(frame) {
    const answer = Buffer.alloc(23);
    answer[0] = 0xa5;
    answer.writeUInt16LE(10, 1);
    answer[3] = frame[3];
    answer[4] = frame[4] - 0x30;
    answer[5] = (frame[5] + 1) & 255;
    answer[6] = frame[6];
    frame.copy(answer, 7, 7, 11);
    answer[11] = frame[11];
    answer[12] = 1;
    answer.writeUInt32LE(Math.floor(Date.now() / 1000), 13);
    answer.writeUInt32LE(60, 17);
    answer[21] = checksum(answer, 1, 21);
    answer[22] = 0x15;
    return answer;
}

const TRACE = process.argv[2] === "trace";
let seen = 0; // what is parsed is looked at, so that nothing is optimised away

function trace(...texts) {
    seen += texts.length;
}

function traceChunk(chunk, address) {
    trace(new Date().toISOString(), `from ${address}: ${chunk.toString()}`);
    trace(new Date().toISOString(), `from ${address}:`, chunk.toString("hex"));
}

function take(frame) {
    if (frame[0] !== 0xa5 || frame[frame.length - 1] !== 0x15) {
        return null;
    }
    if (frame[frame.length - 2] !== checksum(frame, 1, frame.length - 2)) {
        return null;
    }
    if (frame[4] === DATA && frame.length >= DATA_SIZE) {
        seen += fields(frame.subarray(11, frame.length - 2)).active_power;
    }
    return reply(frame);
}

const server = net.createServer({ noDelay: true }, (socket) => {
    const address = socket.remoteAddress;
    let held = null;
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk) => {
        if (TRACE) {
            traceChunk(chunk, address);
        }
        let data = held === null ? chunk : Buffer.concat([held, chunk]);
        while (data.length >= 3 && data.length >= data.readUInt16LE(1) + ENVELOPE) {
            const size = data.readUInt16LE(1) + ENVELOPE;
            const answer = take(data.subarray(0, size));
            if (answer === null) {
                socket.destroy();
                return;
            }
            if (TRACE) {
                trace("answer", answer.toString("hex"));
            }
            socket.write(answer);
            data = data.subarray(size);
        }
        held = data.length > 0 ? data : null;
    });
});

server.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => {
    process.stdout.write(`${server.address().port}\n`);
});
process.stdin.resume().on("end", () => process.exit(0));
