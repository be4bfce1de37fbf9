"""Apache Kafka as a bus: FastStream batch subscribers, aiokafka's idempotent batch producer."""

from services.kit.kafka.bus import KafkaBus
from services.kit.kafka.settings import KafkaSettings

__all__ = ["KafkaBus", "KafkaSettings"]
