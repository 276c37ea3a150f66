// The micro-inverter frame taken apart under Node, as `benchmarks/deye.py` has it done in Python.
//
// It follows the manner of Hypfer's dummycloud (Buffer.read…, one object literal), brought to the
// same work: checksum verified, every declared field, unknown gaps as slices, texts unpadded, the
// clock checked. Reads lines from stdin and answers each with a line of JSON:
//   show HEX       the frame and its fields (bytes as hex), to compare before anything is timed
//   time HEX N     nanoseconds that N parses take
"use strict";

const HEADER = 11;
const FOOTER = 2;

function checksum(buf) {
    let sum = 0;
    for (let i = 1; i < buf.length - FOOTER; i++) {
        sum += buf[i];
    }
    return sum & 255;
}

function text(buf, start, end) {
    while (end > start && (buf[end - 1] === 0 || buf[end - 1] === 32)) {
        end--;
    }
    const decoded = buf.toString("utf8", start, end);
    return decoded.includes("\ufffd") ? buf.toString("latin1", start, end) : decoded;
}

const two = (number) => String(number).padStart(2, "0");

function clock(buf, at) {
    const year = 2000 + buf[at];
    const month = buf[at + 1];
    const day = buf[at + 2];
    const hour = buf[at + 3];
    const minute = buf[at + 4];
    const second = buf[at + 5];
    if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59) {
        return null;
    }
    if (day > 28 && day > new Date(Date.UTC(year, month, 0)).getUTCDate()) {
        return null;
    }
    return `${year}-${two(month)}-${two(day)} ${two(hour)}:${two(minute)}:${two(second)}`;
}

// A raw value that means "no reading" gives null.
const fitted = (raw, absent, scale) => (raw === absent ? null : raw / scale);

function fields(p) {
    return {
        frame_type: p[0],
        sensor_type: p.readUInt16LE(1),
        total_working_time: p.readUInt32LE(3),
        power_on_time: p.readUInt32LE(7),
        offset_time: p.readUInt32LE(11),
        unknown_15: p.readUInt16LE(15),
        packet_counter: p.readUInt32LE(17),
        inverter_serial: text(p, 21, 31),
        unknown_31: p.readUInt16LE(31),
        energy_today: p.readUInt32LE(33) / 100,
        energy_total: fitted(p.readUInt32LE(37), 0, 10),
        unknown_41: p.subarray(41, 45),
        grid_voltage_l1: p.readUInt16LE(45) / 10,
        grid_voltage_l2: p.readUInt16LE(47) / 10,
        grid_voltage_l3: p.readUInt16LE(49) / 10,
        grid_current_l1: p.readUInt16LE(51) / 10,
        grid_current_l2: p.readUInt16LE(53) / 10,
        grid_current_l3: p.readUInt16LE(55) / 10,
        grid_frequency: p.readUInt16LE(57) / 100,
        active_power: p.readUInt32LE(59),
        radiator_temperature: p.readInt16LE(63) / 100,
        temperature_65: fitted(p.readInt16LE(65), -1000, 100),
        temperature_67: fitted(p.readInt16LE(67), -1000, 100),
        temperature_69: fitted(p.readInt16LE(69), -1000, 100),
        temperature_71: fitted(p.readInt16LE(71), -1000, 100),
        unknown_73: p.subarray(73, 85),
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
        unknown_125: p.subarray(125, 129),
        rated_power: p.readUInt16BE(129) / 10,
        mppt_count: p[131],
        phase_count: p[132],
        unknown_133: p.readUInt16BE(133),
        pv1_energy_today: p.readUInt16BE(135) / 10,
        pv2_energy_today: p.readUInt16BE(137) / 10,
        pv3_energy_today: p.readUInt16BE(139) / 10,
        pv4_energy_today: p.readUInt16BE(141) / 10,
        pv1_energy_total: fitted(p.readUInt32BE(143), 0, 10),
        pv2_energy_total: fitted(p.readUInt32BE(147), 0, 10),
        pv3_energy_total: fitted(p.readUInt32BE(151), 0, 10),
        pv4_energy_total: fitted(p.readUInt32BE(155), 0, 10),
        pv1_id: text(p, 159, 175),
        pv2_id: text(p, 175, 191),
        pv3_id: text(p, 191, 207),
        pv4_id: text(p, 207, 223),
        over_frequency_start: p.readUInt16BE(223) / 100,
        over_frequency_load_reduction: p.readUInt16BE(225),
        unknown_227: p.readUInt16BE(227),
        unknown_229: p.readUInt16BE(229),
        unknown_231: p.readUInt16BE(231),
        unknown_233: p.readUInt16BE(233),
        grid_voltage_limit_upper: p.readUInt16BE(235) / 10,
        grid_voltage_limit_lower: p.readUInt16BE(237) / 10,
        grid_frequency_limit_upper: p.readUInt16BE(239) / 100,
        grid_frequency_limit_lower: p.readUInt16BE(241) / 100,
        self_check_time: p.readUInt16BE(243),
        inverter_clock: clock(p, 245),
        unknown_251: p.subarray(251, 284),
        second_over_frequency_start: p.readUInt16BE(284) / 100,
        second_over_frequency_load_reduction: p.readUInt16BE(286),
        unknown_288: p.subarray(288, 308),
        second_grid_voltage_limit_upper: p.readUInt16BE(308) / 10,
        second_grid_voltage_limit_lower: p.readUInt16BE(310) / 10,
        second_grid_frequency_limit_upper: p.readUInt16BE(312) / 100,
        second_grid_frequency_limit_lower: p.readUInt16BE(314) / 100,
        unknown_316: p.subarray(316),
    };
}

function parse(raw) {
    if (raw[0] !== 0xa5 || raw[raw.length - 1] !== 0x15) {
        throw new Error("bad marker");
    }
    if (raw.readUInt16LE(1) + HEADER + FOOTER !== raw.length) {
        throw new Error("bad length");
    }
    if (raw[raw.length - 2] !== checksum(raw)) {
        throw new Error("bad checksum");
    }
    return {
        control_code: raw.readUInt16LE(3),
        sequence: [raw[5], raw[6]],
        logger_serial: raw.readUInt32LE(7),
        fields: fields(raw.subarray(HEADER, raw.length - FOOTER)),
    };
}

let seen = 0; // what is parsed is looked at, so that nothing is optimised away

function time(raw, count) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < count; i++) {
        seen += parse(raw).fields.grid_voltage_l1;
    }
    return Number(process.hrtime.bigint() - start);
}

function show(raw) {
    const message = parse(raw);
    for (const [name, value] of Object.entries(message.fields)) {
        if (Buffer.isBuffer(value)) {
            message.fields[name] = value.toString("hex");
        }
    }
    return message;
}

require("readline")
    .createInterface({ input: process.stdin })
    .on("line", (line) => {
        const [what, hex, count] = line.split(" ");
        const raw = Buffer.from(hex, "hex");
        const answer = what === "time" ? time(raw, Number(count)) : show(raw);
        process.stdout.write(`${JSON.stringify(answer)}\n`);
    });
