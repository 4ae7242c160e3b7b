# A partner and an agency in Python, with Confluent's client and registry: publishes one event by a schema of its own,
# which is ours in other words and with one field more, and prints, as JSON, the feedback and the task that came of it.
import json
import sys
import time

from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext


def properties(file):
    with open(file) as lines:
        return dict(line.strip().split("=", 1) for line in lines if "=" in line)


def own_schema(text):
    """As a partner's developer would keep it: no documentation, another order, a field of their own."""
    schema = json.loads(text)

    def undocumented(part):
        if isinstance(part, dict):
            return {name: undocumented(value) for name, value in part.items() if name != "doc"}
        return [undocumented(item) for item in part] if isinstance(part, list) else part

    schema = undocumented(schema)
    schema["fields"].append(schema["fields"].pop(0))
    schema["fields"].append({"name": "our_case_number", "type": ["null", "string"], "default": None})
    return json.dumps(schema)


def event(event_id):
    now = int(time.time() * 1000)
    return {
        "event_id": event_id,
        "partner_reference": "PY-1",
        "source": {"partner": "leighton-hospital", "agency": None, "unit": "emergency-department"},
        "practitioner": {"role": "ED consultant", "call_back": "01632 960001"},
        "occurred_at": now,
        "reported_at": now,
        "child": {"given_names": "Test", "family_name": "Child", "date_of_birth": 15_000},
        "immediate_danger": False,
        "our_case_number": "77",
        "detail": ("pathway.SelfHarmReported", {"setting": "a_and_e", "overdose": True}),
    }


def await_one(consumer, reader, topic, seconds=60):
    consumer.subscribe([topic])
    end = time.time() + seconds
    while time.time() < end:
        message = consumer.poll(0.5)
        if message is None:
            continue
        if message.error():
            sys.exit(f"{topic}: {message.error()}")
        assert message.value()[0] == 0, "framed for the registry"
        record = reader(message.value(), SerializationContext(topic, MessageField.VALUE))
        return record, dict(message.headers() or [])
    sys.exit(f"nothing came on {topic}")


def main(bootstrap, registry_url, partner_file, agency_file, schema_file, event_id):
    registry = SchemaRegistryClient({"url": registry_url})
    with open(schema_file) as text:
        writer = AvroSerializer(registry, own_schema(text.read()))
    delivered = []
    producer = Producer({"bootstrap.servers": bootstrap, **properties(partner_file)})
    topic = "referrals.leighton-hospital"
    value = writer(event(event_id), SerializationContext(topic, MessageField.VALUE))
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"ce_specversion": "1.0", "ce_id": event_id, "ce_type": "self_harm.reported", "traceparent": trace}
    producer.produce(topic, value=value, headers=headers, on_delivery=lambda error, _: delivered.append(error))
    producer.flush(30)
    assert delivered == [None], delivered

    reader = AvroDeserializer(registry)
    own = {"bootstrap.servers": bootstrap, "auto.offset.reset": "earliest", "isolation.level": "read_committed"}
    of_partner = {**own, **properties(partner_file), "group.id": "feedback.leighton-hospital"}
    feedback, _ = await_one(Consumer(of_partner), reader, "feedback.leighton-hospital")
    of_agency = {**own, **properties(agency_file), "group.id": "tasks.camhs.python"}
    task, carried = await_one(Consumer(of_agency), reader, "tasks.camhs")
    print(json.dumps({
        "feedback": {"event_id": str(feedback["event_id"]), "status": feedback["status"]},
        "task": {"agency": task["agency"], "action": task["action"], "given_names": task["child"]["given_names"]},
        "headers": {name: value.decode() for name, value in carried.items()},
        "trace": trace,
    }))


if __name__ == "__main__":
    main(*sys.argv[1:])
