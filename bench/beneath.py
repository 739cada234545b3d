"""What lies beneath Riwaq when it does not keep everything in its own folder: Cassandra and MinIO."""

from urllib.parse import urlsplit

import boto3
from botocore.config import Config


def settings(arguments, run):
    s3 = urlsplit(arguments.s3)
    return {
        "RIWAQ_GATEWAY_RATE_LIMIT": "off",
        "RIWAQ_RECORDS_ENGINE": "cassandra",
        "RIWAQ_RECORDS_CASSANDRA_CONTACT_POINTS": arguments.cassandra,
        "RIWAQ_RECORDS_CASSANDRA_USER": "cassandra",
        "RIWAQ_RECORDS_CASSANDRA_PASSWORD": "cassandra",
        "RIWAQ_RECORDS_CASSANDRA_KEYSPACE": f"bench_{run}",
        "RIWAQ_BLOBS_ENGINE": "s3",
        "RIWAQ_BLOBS_S3_ENDPOINT": f"http://{s3.hostname}:{s3.port}",
        "RIWAQ_BLOBS_S3_BUCKET": f"bench-{run}",
        "RIWAQ_BLOBS_S3_ACCESS_KEY": s3.username,
        "RIWAQ_BLOBS_S3_SECRET_KEY": s3.password,
    }


class Minio:
    """The server itself, asked by presigned links."""

    def __init__(self, arguments, run):
        s3 = urlsplit(arguments.s3)
        self.pid, self.bucket = arguments.minio_pid, f"bench-direct-{run}"
        self.client = boto3.client(
            "s3", endpoint_url=f"http://{s3.hostname}:{s3.port}", aws_access_key_id=s3.username,
            aws_secret_access_key=s3.password, region_name="us-east-1",
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )
        self.client.create_bucket(Bucket=self.bucket)

    def link(self, method, key):
        parameters = {"Bucket": self.bucket, "Key": key}
        return self.client.generate_presigned_url(method, Params=parameters, ExpiresIn=3600)

    def put(self, key, body):
        self.client.put_object(Bucket=self.bucket, Key=key, Body=body)
